// The native ceiling: what libllama gives to C++ alone, with nothing of ours between.
//
//   ceiling MODEL TEXTS [options]             asked by a driver: see the protocol in bench/README.md
//   ceiling MODEL TEXTS [options] --first     the first text alone, then the end: what a start takes
//     --limit N         tokens of a text
//     --packs N         tokens of a pass
//     --lanes N         contexts, of --threads N each
//     --flash N         flash attention: 1 on, 0 off, -1 as llama.cpp chooses
//     --pooling N       llama.h's number, where the file does not say
//     --query FILE      a cross-encoder's, whose documents the texts are
//     --answers N,N     a causal model's tokens for yes and no: the texts are whole prompts, of which the score is the
//                       difference of the two logits
//
// TEXTS has one text a line, whose own line breaks are \x01. Every line of output is JSON. The clock runs from strings in
// memory to vectors in the caller's memory; the model is loaded and the contexts have computed before.
#include "ceiling_embedder.h"

#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>

namespace {

const int    LARGEST = 1024 * 1024;
const size_t WARMING = 32;  // texts

struct Arguments {
    std::string      model, texts;
    Task             task;
    bool             first = false;
    Configuration    configuration{ 256, 1, 1, LLAMA_FLASH_ATTN_TYPE_AUTO };
};

double since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Wall time, and processor time of all threads, which other programs disturb less; as JSON.
std::string measure(Embedder & embedder, const std::vector<std::string> & texts) {
    const auto               start   = std::chrono::steady_clock::now();
    const std::clock_t       cpu     = std::clock();
    const std::vector<float> vectors = embedder.embed(texts);
    std::ostringstream       out;
    out << "\"seconds\":" << since(start) << ",\"cpu\":" << (double) (std::clock() - cpu) / CLOCKS_PER_SEC;
    return out.str();
}

// Single calls, one after another; as JSON.
std::string singles(Embedder & embedder, const std::vector<std::string> & texts, size_t count) {
    std::ostringstream out;
    for (size_t i = 0; i < count; i++) {
        const auto start = std::chrono::steady_clock::now();
        embedder.embed({ texts[i % texts.size()] });
        out << (i ? "," : "") << since(start);
    }
    return "\"seconds\":[" + out.str() + "]";
}

std::vector<std::string> lines(const std::string & path) {
    std::ifstream            file(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) {
        std::replace(line.begin(), line.end(), '\x01', '\n');
        all.push_back(line);
    }
    if (all.empty()) throw std::runtime_error(path + " has no texts");
    return all;
}

void serve(Embedder & embedder, const std::vector<std::string> & texts) {
    for (std::string line; std::getline(std::cin, line);) {
        if (line == "go") {
            std::cout << "{" << measure(embedder, texts) << "}" << std::endl;
        } else if (line.rfind("one ", 0) == 0) {
            std::cout << "{" << singles(embedder, texts, (size_t) std::atoi(line.c_str() + 4)) << "}" << std::endl;
        } else if (line.rfind("vectors ", 0) == 0) {
            const std::vector<float> vectors = embedder.embed(texts);
            std::ofstream(line.substr(8), std::ios::binary)
                .write((const char *) vectors.data(), (std::streamsize) (vectors.size() * sizeof(float)));
            std::cout << "{\"bytes\":" << vectors.size() * sizeof(float) << "}" << std::endl;
        } else {
            std::cout << "{\"error\":\"unknown command\"}" << std::endl;
        }
    }
}

std::vector<int> numbers(const std::string & name, const std::string & list) {
    std::vector<int>   all;
    std::istringstream in(list);
    for (std::string word; std::getline(in, word, ',');) {
        all.push_back(std::atoi(word.c_str()));
        if (all.back() < (name == "--flash" ? -1 : 1) || all.back() > LARGEST) {
            throw std::runtime_error(name + " has \"" + word + "\", which is no number that it takes");
        }
    }
    if (all.empty()) throw std::runtime_error(name + " has no value");
    return all;
}

Arguments parse(int argc, char ** argv) {
    if (argc < 3) {
        throw std::runtime_error("usage: ceiling MODEL TEXTS [--limit N] [--packs N] [--lanes N] [--threads N] [--flash N] "
                                 "[--pooling N] [--query FILE] [--answers N,N] [--first]");
    }
    Arguments a;
    a.model = argv[1];
    a.texts = argv[2];
    for (int i = 3; i < argc; i++) {
        const std::string name = argv[i];
        if (name == "--first") {
            a.first = true;
            continue;
        }
        const std::string value = i + 1 < argc ? argv[++i] : "";
        if (name == "--query") {
            a.task.query = lines(value)[0];
            continue;
        }
        const std::vector<int> values = numbers(name, value);
        if (name == "--limit") a.task.limit = values[0];
        else if (name == "--packs") a.configuration.pack = values[0];
        else if (name == "--lanes") a.configuration.lanes = values[0];
        else if (name == "--threads") a.configuration.threads = values[0];
        else if (name == "--flash") a.configuration.flash = values[0];
        else if (name == "--pooling") a.task.pooling = values[0];
        else if (name == "--answers" && values.size() == 2) a.task.answers = values;
        else throw std::runtime_error("cannot take " + name + " " + value);
    }
    return a;
}

void run(const Arguments & arguments) {
    const auto start = std::chrono::steady_clock::now();
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_backend_init();
    const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(
        llama_model_load_from_file(arguments.model.c_str(), llama_model_default_params()), llama_model_free);
    if (!model) {
        throw std::runtime_error("llama.cpp does not load " + arguments.model);
    }
    const double                   load  = since(start);
    const std::vector<std::string> texts = lines(arguments.texts);
    Embedder embedder(model.get(), arguments.configuration, arguments.task);
    if (arguments.first) {
        const std::vector<float> vector = embedder.embed({ texts[0] });
        std::cout << "{\"first\":" << vector[0] << ",\"load\":" << load << "}" << std::endl;
        return;
    }
    embedder.embed({ texts.begin(), texts.begin() + (ptrdiff_t) std::min(texts.size(), WARMING) });
    std::cout << "{\"load\":" << load << ",\"versions\":\"llama.cpp " << llama_version() << "\","
              << arguments.configuration.json() << "}" << std::endl;
    serve(embedder, texts);
}

}  // namespace

int main(int argc, char ** argv) try {
    run(parse(argc, argv));
    return 0;
} catch (const std::exception & error) {
    std::cerr << "error: " << error.what() << std::endl;
    return 1;
}
