// fuzz/json.cpp - JSON of any bytes through the bounded parser, and as the answer of a probed plugin.
//
// What was parsed is also copied and written, which a too deep document would not survive.
#include <cstdint>
#include <string>

#include "backend/probe_answer.h"
#include "base/error.h"
#include "base/json_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const nlohmann::json parsed = bitnet::parse_json(text, {"input", bitnet::ErrorKind::kUsage});
    const nlohmann::json copy = parsed;
    copy.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } catch (const bitnet::Error&) {
  }
  try {
    bitnet::backend::read_answer(text);
  } catch (const bitnet::Error&) {
  }
  return 0;
}
