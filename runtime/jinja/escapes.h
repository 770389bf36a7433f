// jinja/escapes.h - texts in quotes as a template spells them.
#pragma once

#include <string>
#include <string_view>

namespace bitnet::jinja {

// Appends what "a\nb" stands for. Returns why it cannot, static text; null: done.
const char* append_unescaped(std::string_view spelled, std::string& out);

}  // namespace bitnet::jinja
