#include "guard/gguf/header.h"

#include "ggml.h"
#include "gguf.h"
#include "guard/gguf/reader.h"

#include <algorithm>

namespace saur {
namespace {

// llama.cpp compares every key with every other, and every tensor's name: more than these would hold it for minutes.
constexpr uint64_t MAX_KEYS        = 10000;
constexpr uint64_t MAX_TENSORS     = 20000;
constexpr uint64_t MAX_KEY_BYTES   = 65535;  // of the format
constexpr uint64_t MAX_ELEMENTS    = 1 << 24;
constexpr size_t   MAX_TEXT        = 256;
constexpr size_t   MAX_NUMBERS     = 512;

// llama.cpp compares and hands on names and texts as C strings (gguf_find_key, ggml_set_name, gguf_get_val_str).
const char ENDS_AT_ZERO[] = " with a byte 0 in it, where llama.cpp would end it";

bool has_zero(const std::string & text) { return text.find('\0') != std::string::npos; }

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

// Reads the length and text of each string of a value; keeps a short one that stands alone.
void read_strings(Reader & in, GgufField & field, const std::string & key) {
    in.need(field.count * sizeof(uint64_t), key);
    for (uint64_t i = 0; i < field.count; i++) {
        const uint64_t n = in.get<uint64_t>(key);
        in.need(n, key);
        field.longest = std::max(field.longest, n);
        field.squares += (double) n * (double) n;
        if (field.array) {
            in.skip(n, key);
            continue;
        }
        if (n <= MAX_TEXT) {
            field.text.resize((size_t) n);
            in.read(&field.text[0], n, key);
        }
        if (n <= MAX_TEXT ? has_zero(field.text) : in.skip_zero(n, key)) {
            throw Unsound(key + " has a text" + ENDS_AT_ZERO);
        }
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
    field.at = in.at();
    if (field.type == GGUF_TYPE_STRING) {
        read_strings(in, field, key);
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

// Reads a tensor's entry; its offset is that from the beginning of the data.
void read_tensor(Reader & in, GgufTensor & tensor) {
    tensor.name             = in.text(GGML_MAX_NAME - 1, "a tensor's name");
    const std::string shown = "the tensor " + quoted(tensor.name);
    if (has_zero(tensor.name)) {
        throw Unsound(shown + " has a name" + ENDS_AT_ZERO);
    }
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
    tensor.type   = in.get<int32_t>(shown);
    tensor.offset = in.get<uint64_t>(shown);
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
    tensor.bytes = bytes;
}

void read_fields(Reader & in, uint64_t n, GgufHeader & header) {
    for (uint64_t i = 0; i < n; i++) {
        const std::string key   = in.text(MAX_KEY_BYTES, "a key's name");
        const std::string shown = "the key " + quoted(key);
        if (has_zero(key)) {
            throw Unsound(shown + " has a name" + ENDS_AT_ZERO);
        }
        if (!header.fields.emplace(key, read_field(in, shown)).second) {
            throw Unsound(shown + " is there twice");
        }
    }
}

uint64_t alignment_of(const GgufHeader & header) {
    double alignment = GGUF_DEFAULT_ALIGNMENT;
    header.number("general.alignment", alignment);
    const uint64_t step = alignment >= 1 && alignment <= 1 << 30 ? (uint64_t) alignment : 0;
    if (step == 0 || (step & (step - 1)) != 0) {
        throw Unsound("general.alignment must be a power of 2");
    }
    return step;
}

void read_tensors(Reader & in, uint64_t n, uint64_t size, GgufHeader & header) {
    const uint64_t step     = alignment_of(header);
    uint64_t       expected = 0;
    for (uint64_t i = 0; i < n; i++) {
        GgufTensor tensor;
        read_tensor(in, tensor);
        if (tensor.offset != expected) {
            throw Unsound("the tensor " + quoted(tensor.name) + " is at " + std::to_string(tensor.offset) + " where " +
                          std::to_string(expected) + " is expected");
        }
        if (tensor.bytes > size) {
            in.need(tensor.bytes, "the tensor " + quoted(tensor.name));
        }
        expected += (tensor.bytes + step - 1) / step * step;
        header.tensors.push_back(std::move(tensor));
    }
    // All of them are inside if the last is; the padding behind it may be missing.
    const uint64_t start = (in.at() + step - 1) / step * step;
    for (GgufTensor & tensor : header.tensors) {
        tensor.offset += start;
        const uint64_t end = tensor.offset + tensor.bytes;
        if (end > size) {
            throw Unsound("it ends in the tensor " + quoted(tensor.name) + ": it has " + std::to_string(size) +
                          " bytes and needs " + std::to_string(end) + ": the file is cut off");
        }
    }
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

double GgufHeader::first(const std::string & key, double otherwise) const {
    const GgufField * field = find(key);
    return field && !field->numbers.empty() ? field->numbers[0] : otherwise;
}

std::string GgufHeader::text(const std::string & key) const {
    const GgufField * field = find(key);
    return field ? field->text : "";
}

GgufHeader read_gguf_header(FILE * file, uint64_t size) {
    Reader in(file, size);
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
    GgufHeader header;
    read_fields(in, n_keys, header);
    read_tensors(in, n_tensors, size, header);
    return header;
}

void each_text(FILE * file, uint64_t size, const GgufField & list,
               const std::function<void(uint64_t index, const std::string & text)> & each) {
    Reader in(file, size, list.at);
    for (uint64_t i = 0; i < list.count; i++) {
        const std::string text = in.text(list.longest, "a list of texts");
        each(i, text.substr(0, text.find('\0')));
    }
}

}  // namespace saur
