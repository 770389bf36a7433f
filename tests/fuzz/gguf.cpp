// fuzz/gguf.cpp - a GGUF file of any bytes: container, hyper-parameters, weights, tokenizer.
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "gguf/reader.h"
#include "model/config.h"
#include "model/weights.h"
#include "tokenizer/tokenizer.h"

namespace {

// Each step on its own, so that a fault in one does not hide the next.
template <class Step>
void attempt(const Step& step) {
  try {
    step();
  } catch (const bitnet::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint64_t> aligned((size + 7) / 8);
  if (size > 0) std::memcpy(aligned.data(), data, size);
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(aligned.data()), size);
  attempt([&] { bitnet::gguf::File("cut", bytes, {.allow_cut_data = true}); });
  attempt([&] {
    const bitnet::gguf::File file("file", bytes);
    attempt([&] { bitnet::Tokenizer::from_gguf(file).encode("Any text, 123 \xFF <|eot_id|>", {.parse_special = true}); });
    const bitnet::model::Config config = bitnet::model::read_config(file);
    bitnet::model::read_weights(file, config, {.check_tensors = true});
  });
  return 0;
}
