#include "guard/gguf/header.h"

#include "ggml.h"
#include "gguf.h"
#include "guard/gguf/file.h"

#include <algorithm>
#include <cstring>

namespace saur {
namespace {

// llama.cpp compares every key with every other, and every tensor's name: more than these would hold it for minutes.
constexpr uint64_t MAX_KEYS        = 10000;
constexpr uint64_t MAX_TENSORS     = 20000;
constexpr uint64_t MAX_KEY_BYTES   = 65535;  // of the format
constexpr uint64_t MAX_ELEMENTS    = 1 << 24;
constexpr size_t   MAX_TEXT        = 256;
constexpr size_t   MAX_NUMBERS     = 512;

// A name from the file as it can stand in a message.
std::string quoted(const std::string & name) {
    std::string text;
    for (char c : name.substr(0, 80)) {
        text += c >= 32 && c < 127 ? c : '?';
    }
    return "'" + text + "'";
}

// The file in order, never beyond its end.
class Reader {
  public:
    Reader(FILE * file, uint64_t size) : file(file), size(size) {}

    uint64_t at() const { return offset; }
    uint64_t left() const { return size - offset; }

    void read(void * out, uint64_t n, const std::string & what) {
        need(n, what);
        uint8_t * to = (uint8_t *) out;
        while (n > 0) {
            if (next == filled) {
                fill(what);
            }
            const size_t part = std::min<uint64_t>(n, filled - next);
            memcpy(to, buffer + next, part);
            next += part;
            offset += part;
            to += part;
            n -= part;
        }
    }

    void skip(uint64_t n, const std::string & what) {
        need(n, what);
        offset += n;
        if (n <= filled - next) {
            next += (size_t) n;
            return;
        }
        next = filled = 0;
        if (!seek_from_start(file, (int64_t) offset)) {
            throw Unsound("it cannot be read at " + what);
        }
    }

    template <class T> T get(const std::string & what) {
        T value;
        read(&value, sizeof(value), what);
        return value;
    }

    std::string text(uint64_t max, const std::string & what) {
        const uint64_t n = get<uint64_t>(what);
        need(n, what);
        if (n > max) {
            throw Unsound(what + " has " + std::to_string(n) + " bytes, at most " + std::to_string(max) + " are allowed");
        }
        std::string value((size_t) n, '\0');
        read(&value[0], n, what);
        return value;
    }

    void need(uint64_t n, const std::string & what) const {
        if (n > left()) {
            throw Unsound("it ends in " + what + ", which needs " + std::to_string(n) + " bytes where " + std::to_string(left()) +
                          " are left: the file is cut off or damaged");
        }
    }

  private:
    void fill(const std::string & what) {
        next   = 0;
        filled = fread(buffer, 1, sizeof(buffer), file);
        if (filled == 0) {
            throw Unsound("it cannot be read at " + what);
        }
    }

    FILE *         file;
    const uint64_t size;
    uint64_t       offset = 0;
    size_t         next = 0, filled = 0;
    uint8_t        buffer[65536];
};

size_t size_of(int32_t type) {
    switch (type) {
        case GGUF_TYPE_UINT8:
        case GGUF_TYPE_INT8:
        case GGUF_TYPE_BOOL:    return 1;
        case GGUF_TYPE_UINT16:
        case GGUF_TYPE_INT16:   return 2;
        case GGUF_TYPE_UINT32:
        case GGUF_TYPE_INT32:
        case GGUF_TYPE_FLOAT32: return 4;
        case GGUF_TYPE_UINT64:
        case GGUF_TYPE_INT64:
        case GGUF_TYPE_FLOAT64: return 8;
        default:                return 0;
    }
}

double read_number(Reader & in, int32_t type, const std::string & what) {
    switch (type) {
        case GGUF_TYPE_UINT8:
        case GGUF_TYPE_BOOL:    return in.get<uint8_t>(what);
        case GGUF_TYPE_INT8:    return in.get<int8_t>(what);
        case GGUF_TYPE_UINT16:  return in.get<uint16_t>(what);
        case GGUF_TYPE_INT16:   return in.get<int16_t>(what);
        case GGUF_TYPE_UINT32:  return in.get<uint32_t>(what);
        case GGUF_TYPE_INT32:   return in.get<int32_t>(what);
        case GGUF_TYPE_FLOAT32: return in.get<float>(what);
        case GGUF_TYPE_UINT64:  return (double) in.get<uint64_t>(what);
        case GGUF_TYPE_INT64:   return (double) in.get<int64_t>(what);
        default:                return in.get<double>(what);
    }
}

GgufField read_field(Reader & in, const std::string & key) {
    GgufField field;
    field.type = in.get<int32_t>(key);
    if (field.type == GGUF_TYPE_ARRAY) {
        field.array = true;
        field.type  = in.get<int32_t>(key);
        field.count = in.get<uint64_t>(key);
        if (field.count > MAX_ELEMENTS) {
            throw Unsound(key + " has " + std::to_string(field.count) + " elements, at most " + std::to_string(MAX_ELEMENTS) +
                          " are allowed");
        }
    }
    if (field.type == GGUF_TYPE_STRING) {
        in.need(field.count * sizeof(uint64_t), key);
        for (uint64_t i = 0; i < field.count; i++) {
            const uint64_t n = in.get<uint64_t>(key);
            in.need(n, key);
            field.longest = std::max(field.longest, n);
            if (!field.array && n <= MAX_TEXT) {
                field.text.resize((size_t) n);
                in.read(&field.text[0], n, key);
            } else {
                in.skip(n, key);
            }
        }
        return field;
    }
    const size_t bytes = size_of(field.type);
    if (bytes == 0) {
        throw Unsound(key + " has a value of type " + std::to_string(field.type) + ", which GGUF does not know");
    }
    in.need(field.count * bytes, key);
    const uint64_t kept = std::min<uint64_t>(field.count, MAX_NUMBERS);
    for (uint64_t i = 0; i < kept; i++) {
        field.numbers.push_back(read_number(in, field.type, key));
    }
    in.skip((field.count - kept) * bytes, key);
    return field;
}

// Reads a tensor's entry and returns the bytes of its data.
uint64_t read_tensor(Reader & in, GgufTensor & tensor, uint64_t & offset) {
    tensor.name             = in.text(GGML_MAX_NAME - 1, "a tensor's name");
    const std::string shown = "the tensor " + quoted(tensor.name);
    tensor.n_dims           = in.get<uint32_t>(shown);
    if (tensor.n_dims > GGML_MAX_DIMS) {
        throw Unsound(shown + " has " + std::to_string(tensor.n_dims) + " dimensions, at most 4 are allowed");
    }
    for (uint32_t i = 0; i < tensor.n_dims; i++) {
        tensor.ne[i] = in.get<int64_t>(shown);
        if (tensor.ne[i] < 1) {
            throw Unsound(shown + " has a dimension of " + std::to_string(tensor.ne[i]));
        }
    }
    tensor.type = in.get<int32_t>(shown);
    offset      = in.get<uint64_t>(shown);
    if (tensor.type < 0 || tensor.type >= GGML_TYPE_COUNT || ggml_blck_size((ggml_type) tensor.type) == 0) {
        throw Unsound(shown + " is of type " + std::to_string(tensor.type) + ", which this llama.cpp does not know");
    }
    const ggml_type type  = (ggml_type) tensor.type;
    const int64_t   block = ggml_blck_size(type);
    if (tensor.ne[0] % block != 0) {
        throw Unsound(shown + " has rows of " + std::to_string(tensor.ne[0]) + ", and its type " + ggml_type_name(type) +
                      " has blocks of " + std::to_string(block));
    }
    uint64_t bytes = ggml_type_size(type);
    for (uint64_t n : { (uint64_t) (tensor.ne[0] / block), (uint64_t) tensor.ne[1], (uint64_t) tensor.ne[2],
                        (uint64_t) tensor.ne[3] }) {
        if (n > (uint64_t) INT64_MAX / bytes) {
            throw Unsound(shown + " is larger than any file");
        }
        bytes *= n;
    }
    return bytes;
}

}  // namespace

const GgufField * GgufHeader::find(const std::string & key) const {
    const auto found = fields.find(key);
    return found == fields.end() ? nullptr : &found->second;
}

bool GgufHeader::number(const std::string & key, double & out) const {
    const GgufField * field = find(key);
    if (!field || field->array || field->numbers.size() != 1) {
        return false;
    }
    out = field->numbers[0];
    return true;
}

std::string GgufHeader::text(const std::string & key) const {
    const GgufField * field = find(key);
    return field ? field->text : "";
}

GgufHeader read_gguf_header(FILE * file, uint64_t size) {
    if (!seek_from_start(file, 0)) {
        throw Unsound("it cannot be read");
    }
    Reader     in(file, size);
    GgufHeader header;
    in.skip(4, "the magic");
    const uint32_t version = in.get<uint32_t>("the version");
    if (version != 2 && version != 3) {
        throw Unsound("its GGUF version is " + std::to_string(version) + (version == 0x03000000 || version == 0x02000000
                          ? ": it was written for a machine of the other byte order"
                          : ", and 2 and 3 can be read"));
    }
    const uint64_t n_tensors = in.get<uint64_t>("the number of tensors");
    const uint64_t n_keys    = in.get<uint64_t>("the number of keys");
    if (n_tensors > MAX_TENSORS || n_keys > MAX_KEYS) {
        throw Unsound("it has " + std::to_string(n_tensors) + " tensors and " + std::to_string(n_keys) + " keys, at most " +
                      std::to_string(MAX_TENSORS) + " and " + std::to_string(MAX_KEYS) + " are allowed");
    }
    for (uint64_t i = 0; i < n_keys; i++) {
        const std::string key   = in.text(MAX_KEY_BYTES, "a key's name");
        const std::string shown = "the key " + quoted(key);
        if (!header.fields.emplace(key, read_field(in, shown)).second) {
            throw Unsound(shown + " is there twice");
        }
    }
    double alignment = GGUF_DEFAULT_ALIGNMENT;
    header.number("general.alignment", alignment);
    const uint64_t step = alignment >= 1 && alignment <= 1 << 30 ? (uint64_t) alignment : 0;
    if (step == 0 || (step & (step - 1)) != 0) {
        throw Unsound("general.alignment must be a power of 2");
    }
    std::vector<uint64_t> sizes;
    uint64_t              expected = 0;
    for (uint64_t i = 0; i < n_tensors; i++) {
        GgufTensor     tensor;
        uint64_t       offset = 0;
        const uint64_t bytes  = read_tensor(in, tensor, offset);
        if (offset != expected) {
            throw Unsound("the tensor " + quoted(tensor.name) + " is at " + std::to_string(offset) + " where " +
                          std::to_string(expected) + " is expected");
        }
        if (bytes > size) {
            in.need(bytes, "the tensor " + quoted(tensor.name));
        }
        expected += (bytes + step - 1) / step * step;
        sizes.push_back(bytes);
        header.tensors.push_back(std::move(tensor));
    }
    // All of them are inside if the last is; the padding behind it may be missing.
    const uint64_t start = (in.at() + step - 1) / step * step;
    uint64_t       end   = start;
    for (size_t i = 0; i < sizes.size(); i++) {
        if (end + sizes[i] > size) {
            throw Unsound("it ends in the tensor " + quoted(header.tensors[i].name) + ": it has " + std::to_string(size) +
                          " bytes and needs " + std::to_string(end + sizes[i]) + ": the file is cut off");
        }
        end += (sizes[i] + step - 1) / step * step;
    }
    return header;
}

}  // namespace saur
