// fuzz/tokenizer_model.cpp - a tokenizer.model of any bytes; whatever it accepts must encode and decode.
#include <cstdint>

#include "base/error.h"
#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const bitnet::TokenizerData file =
        bitnet::read_sentencepiece_file({reinterpret_cast<const char*>(data), size}, "tokenizer.model");
    const bitnet::Tokenizer tokenizer = bitnet::Tokenizer::from_data(file);
    tokenizer.decode(tokenizer.encode("Any text, ab  123 \xFF \xE2\x96\x81 </s>", {.parse_special = true}));
  } catch (const bitnet::Error&) {
  }
  return 0;
}
