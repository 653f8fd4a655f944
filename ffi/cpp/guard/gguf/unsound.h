// The reasons for which a model's file is refused before llama.cpp sees it.
#pragma once
#include <stdexcept>
#include <string>

namespace saur {

// The file is not sound; what() names the key or tensor, its value and what is allowed.
struct Unsound : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The file is something else.
struct NotGguf : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// There is no file.
struct NoFile : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A name from a file as it can stand in a message.
std::string quoted(const std::string & name);

// A number as it can stand in a message.
std::string shown(double value);

// Throws Unsound: "KEY is VALUE, and ALLOWED".
[[noreturn]] void refuse(const std::string & key, double value, const std::string & allowed);

}  // namespace saur
