// bench/model_shapes.cpp - the table of shapes.
#include "model_shapes.h"

#include <algorithm>
#include <iterator>

namespace bitnet::bench {
namespace {

constexpr Shape kShapes[] = {
    // name, architecture, layers, n_embd, n_ff, heads, kv heads, head_dim, vocabulary, eps, rope base, context
    {"2b-4t", "bitnet-b1.58", 30, 2560, 6912, 20, 5, 128, 128256, 1e-5f, 500000, 4096},
    {"large", "bitnet", 24, 1536, 4096, 16, 16, 96, 32002, 1e-5f, 10000, 2048},
    {"xl", "bitnet", 24, 2048, 5460, 32, 32, 64, 32002, 1e-5f, 10000, 2048},
    {"3b", "bitnet", 26, 3200, 8640, 32, 32, 100, 32002, 1e-5f, 10000, 2048},
    {"llama3-8b", "llama", 32, 4096, 14336, 32, 8, 128, 128256, 1e-5f, 500000, 8192},
    {"falcon3-1b", "llama", 18, 2048, 8192, 8, 4, 256, 131072, 1e-6f, 1000042, 8192},
    {"falcon3-3b", "llama", 22, 3072, 9216, 12, 4, 256, 131072, 1e-6f, 1000042, 4096},
    {"falcon3-7b", "llama", 28, 3072, 23040, 12, 4, 256, 131072, 1e-6f, 1000042, 8192},
    {"falcon3-10b", "llama", 40, 3072, 23040, 12, 4, 256, 131072, 1e-6f, 1000042, 32768},
    {"falcon-e-1b", "llama", 24, 2048, 9216, 16, 2, 128, 32768, 1e-6f, 1000042, 8192},
    {"falcon-e-3b", "llama", 32, 2048, 13312, 16, 2, 128, 32768, 1e-6f, 1000042, 8192},
    {"embedding-0.6b", "qwen3", 28, 1024, 3072, 16, 8, 128, 151936, 1e-6f, 1000000, 32768},
    {"embedding-270m", "gemma3", 18, 640, 2048, 4, 1, 256, 262144, 1e-6f, 10000, 32768},
    {"tiny", "bitnet-b1.58", 2, 256, 512, 4, 2, 64, 320, 1e-5f, 500000, 1024},
    {"tiny-llama", "llama", 2, 256, 512, 4, 2, 64, 320, 1e-5f, 500000, 1024},
    {"tiny-odd", "bitnet", 2, 384, 1364, 4, 4, 100, 320, 1e-5f, 10000, 1024},
    {"tiny-embedding", "gemma3", 2, 256, 512, 2, 1, 256, 320, 1e-6f, 10000, 1024},
};

}  // namespace

std::span<const Shape> all_shapes() { return kShapes; }

std::optional<Shape> find_shape(std::string_view name) {
  const auto found = std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& s) { return s.name == name; });
  return found == std::end(kShapes) ? std::nullopt : std::optional(*found);
}

std::string shape_names() {
  std::string names;
  for (const Shape& shape : kShapes) names += (names.empty() ? "" : ", ") + std::string(shape.name);
  return names;
}

}  // namespace bitnet::bench
