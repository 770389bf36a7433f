// fuzz/tokenizer_json.cpp - a tokenizer.json of any bytes; whatever it accepts must encode and decode.
#include <cstdint>

#include "base/error.h"
#include "tokenizer/json_file.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    bitnet::JsonTokenizerFile file({reinterpret_cast<const char*>(data), size}, "tokenizer.json");
    const bitnet::Tokenizer tokenizer = bitnet::Tokenizer::from_data(file.data());
    tokenizer.decode(tokenizer.encode("Any text, ab  123 \xFF \xE2\x96\x81 <|end|>", {.parse_special = true}));
  } catch (const bitnet::Error&) {
  }
  return 0;
}
