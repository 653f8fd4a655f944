#include "guard/gguf/unsound.h"

#include <cstdio>

namespace saur {

std::string quoted(const std::string & name) {
    std::string text;
    for (char c : name.substr(0, 80)) {
        text += c >= 32 && c < 127 ? c : '?';
    }
    return "'" + text + "'";
}

std::string shown(double value) {
    char text[32];
    snprintf(text, sizeof(text), "%.15g", value);
    return text;
}

void refuse(const std::string & key, double value, const std::string & allowed) {
    throw Unsound(key + " is " + shown(value) + ", and " + allowed);
}

}  // namespace saur
