// The files of one model: one, or the parts that llama-gguf-split and gguf-py make. Whatever of ours reads a model's file
// reads it through this class, so that no part is forgotten.
#pragma once
#include "guard/gguf/header.h"
#include "os/os.h"

#include <cstdint>
#include <future>
#include <string>
#include <vector>

namespace saur {

struct ModelTensor : GgufTensor {
    size_t part = 0;  // index of the file that it is in
};

class ModelFiles {
  public:
    ModelFiles() = default;

    // Reads the headers of the file at `path` and of all other parts, and looks that they are the parts of one model. Throws
    // NoFile, NotGguf or Unsound.
    explicit ModelFiles(const std::string & path);

    const std::string &              path() const { return parts.front().path; }
    // The keys of the first part: llama.cpp takes none from the others.
    const GgufHeader &               keys() const { return first; }
    const std::vector<ModelTensor> & tensors() const { return all; }
    const ModelTensor *              find(const std::string & name) const;  // NULL if no part has it

    // What a tensor's data is in its file. Throws std::runtime_error.
    std::vector<uint8_t> read(const ModelTensor & tensor) const;

    // Reads the strings of a list of keys().
    void each_text(const GgufField & list,
                   const std::function<void(uint64_t index, const std::string & text)> & each) const;
    // Reads a text of keys(), of any length.
    std::string          text(const GgufField & field) const;
    // Reads the elements of a list of one byte each.
    std::vector<uint8_t> bytes(const GgufField & list) const;

    // 16 hex digits: XXH64 over the size and all bytes of each part. Empty if a part is gone.
    std::string hash() const;

    // Whether each part is the very file, unchanged, that its header was read from.
    bool unchanged() const;

  private:
    struct Part {
        std::string path;
        uint64_t    size = 0;
        os::FileStamp stamp;
    };

    GgufHeader add(const std::string & path);
    void       add_others();
    void       check_number(const GgufHeader & header, size_t index, uint32_t count) const;
    void       check_together() const;

    std::vector<Part>        parts;
    GgufHeader               first;  // without its tensors
    std::vector<ModelTensor> all;
};

// The hash by a thread of its own, if the system has one; else of whoever asks for it. `files` must stay until then.
std::future<std::string> hash_meanwhile(const ModelFiles & files);

}  // namespace saur
