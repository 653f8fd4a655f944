#include "guard/gguf/model_files.h"

#include "ggml.h"
#include "gguf.h"
#include "guard/gguf/file.h"
#include "guard/gguf/hash.h"
#include "guard/gguf/reader.h"
#include "llama.h"
#include "os/os.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <system_error>

namespace saur {
namespace {


using File = std::unique_ptr<FILE, int (*)(FILE *)>;

File open(const std::string & path) { return File(open_regular(path.c_str()), fclose); }

std::string beginning(const char * bytes, size_t n) {
    std::string text;
    for (size_t i = 0; i < n; i++) {
        text += bytes[i] >= 32 && bytes[i] < 127 ? bytes[i] : '?';
    }
    return text;
}

// What a file that is no GGUF file probably is, and the remedy.
std::string kind_of(const char * block, size_t n) {
    const auto begins = [&](size_t from, const char * words) {
        return n >= from + strlen(words) && memcmp(block + from, words, strlen(words)) == 0;
    };
    if (begins(0, "version https://git-lfs")) {
        return ", a Git LFS pointer and not the file: get that by git lfs pull, or by download()";
    }
    if (begins(0, "<")) {
        return ", an HTML page: the download was an error or login page";
    }
    if (begins(8, "{\"")) {
        return ", a safetensors checkpoint: make a GGUF file of its folder by convert()";
    }
    if (begins(0, "PK\3\4") || begins(0, "\x80\2")) {
        return ", a PyTorch checkpoint: convert() takes folders with safetensors";
    }
    return "; give a file that convert() or llama.cpp's converter made";
}

// Opens a file that begins as a GGUF file does.
File open_gguf(const std::string & path) {
    File file = open(path);
    if (!file) {
        if (errno == ENOENT || errno == ENOTDIR) {
            throw NoFile("there is no such file");
        }
        throw NotGguf(errno == ENOTSUP  ? "it is a pipe or a device"
                      : errno == EISDIR ? "it is a directory; name a .gguf file in it, or make one of a checkpoint by convert()"
                                        : strerror(errno));
    }
    char         block[64];
    const size_t n = fread(block, 1, sizeof(block), file.get());
    if (n < 4 || memcmp(block, "GGUF", 4) != 0) {
        throw NotGguf(ferror(file.get()) ? strerror(errno)
                      : n == 0           ? "it is empty"
                                         : "it begins with \"" + beginning(block, n < 16 ? n : 16) + "\"" + kind_of(block, n));
    }
    return file;
}

// The path of a part, or "" where the name of another is not that of a part.
std::string path_of_part(const std::string & other, uint32_t of_other, uint32_t part, uint32_t count) {
    std::vector<char> prefix(other.size() + 64), path(other.size() + 64);
    if (llama_split_prefix(prefix.data(), prefix.size(), other.c_str(), (int) of_other, (int) count) == 0 ||
        llama_split_path(path.data(), path.size(), prefix.data(), (int) part, (int) count) == 0) {
        return "";
    }
    return path.data();
}

std::string name_of(const std::string & path) { return path.substr(path.find_last_of("/\\") + 1); }

std::string which(size_t index, uint32_t count) {
    return "part " + std::to_string(index + 1) + " of " + std::to_string(count);
}

std::string ending_of_first(uint32_t count) {
    char text[32];
    snprintf(text, sizeof(text), "-00001-of-%05u.gguf", count);
    return text;
}

// A number that llama.cpp takes in 16 bits only.
bool short_number(const GgufHeader & header, const std::string & key, uint32_t & out) {
    const GgufField * field = header.find(key);
    if (!field) {
        return false;
    }
    double value = 0;
    if (field->type != GGUF_TYPE_UINT16 || !header.number(key, value)) {
        throw Unsound(key + " must be a number of type u16");
    }
    out = (uint32_t) value;
    return true;
}

}  // namespace

ModelFiles::ModelFiles(const std::string & path) {
    first = add(path);
    add_others();
    check_together();
}

GgufHeader ModelFiles::add(const std::string & path) {
    const File     file   = open_gguf(path);
    const uint64_t size   = file_size(file.get());
    GgufHeader     header = read_gguf_header(file.get(), size);
    for (GgufTensor & tensor : header.tensors) {
        ModelTensor one;
        (GgufTensor &) one = std::move(tensor);
        one.part           = parts.size();
        all.push_back(std::move(one));
    }
    header.tensors.clear();
    parts.push_back({ path, size, os::stamp_of(file.get()) });
    return header;
}

void ModelFiles::add_others() {
    uint32_t count = 1, number = 0;
    if (!short_number(first, "split.count", count) || count < 2) {
        return;
    }
    const std::string own = path();
    if (short_number(first, "split.no", number) && number > 0 && number < count) {
        const std::string beginning = path_of_part(own, number, 0, count);
        throw Unsound("it is " + which(number, count) + ": load the first" + (beginning.empty() ? "" : ", " + name_of(beginning)));
    }
    check_number(first, 0, count);
    for (size_t i = 1; i < count; i++) {
        const std::string path = path_of_part(own, 0, (uint32_t) i, count);
        if (path.empty()) {
            throw Unsound("it is " + which(0, count) + ", and its name must end in " + ending_of_first(count) +
                          ", so that the others are found beside it");
        }
        const std::string what = which(i, count) + " (" + name_of(path) + ")";
        try {
            check_number(add(path), i, count);
        } catch (const NoFile &) {
            throw Unsound(what + " is missing: all parts of a model must lie in one folder");
        } catch (const NotGguf & e) {
            throw Unsound(what + " is no GGUF file: " + e.what());
        } catch (const Unsound & e) {
            throw Unsound(what + ": " + e.what());
        }
    }
}

// What a part says of its place, and of its model.
void ModelFiles::check_number(const GgufHeader & header, size_t index, uint32_t count) const {
    uint32_t number = 0, of = count;
    if (!short_number(header, "split.no", number)) {
        throw Unsound("split.no is missing");
    }
    if (number != index) {
        throw Unsound("split.no is " + std::to_string(number) + " where " + std::to_string(index) +
                      " is expected: parts were renamed, or are of different models");
    }
    if (short_number(header, "split.count", of) && of != count) {
        throw Unsound("split.count is " + std::to_string(of) + ", and " + std::to_string(count) +
                      " in the first part: it is of another model");
    }
    double own = 0, theirs = 0;
    if (header.number("split.tensors.count", own) && first.number("split.tensors.count", theirs) && own != theirs) {
        throw Unsound("its model has " + std::to_string((uint64_t) own) + " tensors, and the first part's " +
                      std::to_string((uint64_t) theirs) + ": it is of another model");
    }
    const std::string architecture = header.text("general.architecture");
    if (!architecture.empty() && architecture != first.text("general.architecture")) {
        throw Unsound("its architecture is " + quoted(architecture) + ", and the first part's " +
                      quoted(first.text("general.architecture")) + ": it is of another model");
    }
}

void ModelFiles::check_together() const {
    if (parts.size() < 2) {
        return;  // llama.cpp finds a name that is there twice in one file
    }
    std::set<std::string> names;
    for (const ModelTensor & tensor : all) {
        if (!names.insert(tensor.name).second) {
            throw Unsound("the tensor " + quoted(tensor.name) + " is there twice, the second time in " +
                          which(tensor.part, (uint32_t) parts.size()) + ": a part is of another model");
        }
    }
    double count = 0;
    if (!first.number("split.tensors.count", count)) {
        throw Unsound("split.tensors.count is missing");
    }
    if (count != (double) all.size()) {
        throw Unsound("its parts have " + std::to_string(all.size()) + " tensors together, and split.tensors.count is " +
                      std::to_string((int64_t) count) + ": a part is of another model");
    }
}

const ModelTensor * ModelFiles::find(const std::string & name) const {
    const auto found = std::find_if(all.begin(), all.end(), [&](const ModelTensor & tensor) { return tensor.name == name; });
    return found == all.end() ? nullptr : &*found;
}

std::vector<uint8_t> ModelFiles::read(const ModelTensor & tensor) const {
    const File           file = open(parts[tensor.part].path);
    std::vector<uint8_t> bytes((size_t) tensor.bytes);
    if (!file || !seek_from_start(file.get(), (int64_t) tensor.offset) ||
        fread(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) {
        throw std::runtime_error("cannot read the tensor " + tensor.name + " in " + parts[tensor.part].path);
    }
    return bytes;
}

void ModelFiles::each_text(const GgufField & list,
                           const std::function<void(uint64_t index, const std::string & text)> & each) const {
    const File file = open_gguf(path());
    saur::each_text(file.get(), parts.front().size, list, each);
}

std::string ModelFiles::text(const GgufField & field) const {
    const File file = open_gguf(path());
    return Reader(file.get(), parts.front().size, field.at).text(field.longest, "a text");
}

std::vector<uint8_t> ModelFiles::bytes(const GgufField & list) const {
    const File           file = open_gguf(path());
    std::vector<uint8_t> bytes((size_t) list.count);
    Reader(file.get(), parts.front().size, list.at).read(bytes.data(), bytes.size(), "a list of bytes");
    return bytes;
}

std::string ModelFiles::hash() const {
    Hash              hash;
    std::vector<char> block(1 << 20);
    for (const Part & part : parts) {
        const File file = open(part.path);
        if (!file) {
            return "";
        }
        hash.update(&part.size, sizeof(part.size));
        while (const size_t n = fread(block.data(), 1, block.size(), file.get())) {
            hash.update(block.data(), n);
        }
    }
    char hex[17];
    snprintf(hex, sizeof(hex), "%016llx", (unsigned long long) hash.value());
    return hex;
}

bool ModelFiles::unchanged() const {
    return std::all_of(parts.begin(), parts.end(), [](const Part & part) {
        const File file = open(part.path);
        return file && part.stamp == os::stamp_of(file.get());
    });
}

std::future<std::string> hash_meanwhile(const ModelFiles & files) {
    const auto hash = [&files] { return files.hash(); };
    try {
        return std::async(std::launch::async, hash);
    } catch (const std::system_error &) {
        return std::async(std::launch::deferred, hash);
    }
}

}  // namespace saur
