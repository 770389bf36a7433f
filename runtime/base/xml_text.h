// base/xml_text.h - text for XML files, inside and between tags.
#pragma once

#include <string>
#include <string_view>

namespace bitnet {

// With <, >, & and " as entities. Control bytes and invalid UTF-8 are the caller's: printable() takes them away.
std::string xml_text(std::string_view text);

}  // namespace bitnet
