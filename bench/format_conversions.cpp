// bench/format_conversions.cpp - weights from trits into the bytes of a format and back; and into a plugin's own layout.
//
// pack: what the generator and 'convert' do to write a file. unpack: what the runtime does to read one, trits and checks
// included. GB/s are bytes of packed weights; Gweights/s is the same for all formats.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "gguf/ternary_encoder.h"
#include "kernel_bench.h"
#include "random_weights.h"

namespace kernel_bench {
namespace {

using bitnet::gguf::Type;

struct Shape {
  uint32_t rows, columns;
};
constexpr Shape kShapes[] = {{kWidth, kWidth}, {kFfn, kWidth}, {kWidth, kFfn}};

// Tiles for the shapes above, which no published TL file has.
const bitnet::gguf::TileTable& tiles(Type type) {
  static const bitnet::gguf::TileTable tl1 = {
      {kWidth, kWidth, {256, 64, 32}}, {kFfn, kWidth, {256, 64, 32}}, {kWidth, kFfn, {256, 64, 32}}};
  static const bitnet::gguf::TileTable tl2 = {
      {kWidth, kWidth, {256, 96, 32}}, {kFfn, kWidth, {256, 96, 32}}, {kWidth, kFfn, {256, 96, 32}}};
  return type == Type::kTL1 ? tl1 : tl2;
}

std::vector<int8_t> random_trits(const Shape& shape) {
  std::vector<int8_t> trits(size_t{shape.rows} * shape.columns);
  bitnet::bench::Random random(1, "codes");
  bitnet::bench::draw_trits(random, trits.size(), trits.data());
  return trits;
}

void report(benchmark::State& state, double bytes, double weights) {
  using benchmark::Counter;
  const double n = static_cast<double>(state.iterations());
  state.counters["GB/s"] = Counter(1e-9 * bytes * n, Counter::kIsRate);
  state.counters["Gweights/s"] = Counter(1e-9 * weights * n, Counter::kIsRate);
}

// A tensor of the format in memory, as the reader describes one of a file.
class Tensor {
 public:
  Tensor(Type type, const Shape& shape)
      : encoder_(bitnet::gguf::type_info(type), "benchmark", {shape.columns, shape.rows, 1, 1}, {.tiles = &tiles(type)}),
        trits_(random_trits(shape)),
        scales_(shape.rows, kScale),
        bytes_(encoder_.bytes()) {
    for (const auto& part : encoder_.parts()) pieces_.push_back(bytes_.data() + part.offset);
    info.name = "benchmark";
    info.n_dims = 2;
    info.extents = {shape.columns, shape.rows, 1, 1};
    info.type = &bitnet::gguf::type_info(type);
    info.type_id = info.type->id;
    info.bytes = bytes_.size();
    info.data = bytes_.data();
    encode();
    const std::vector<uint8_t> tail = encoder_.tail(kScale);
    std::copy(tail.begin(), tail.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(encoder_.tail_offset()));
  }
  void encode() { encoder_.encode(trits_.data(), scales_.data(), scales_.size(), pieces_.data()); }
  uint64_t packed() const { return encoder_.tail_offset(); }

  bitnet::gguf::TensorInfo info;

 private:
  static constexpr float kScale = 0.5f;
  bitnet::gguf::TernaryEncoder encoder_;
  std::vector<int8_t> trits_;
  std::vector<float> scales_;
  std::vector<uint8_t> bytes_;
  std::vector<uint8_t*> pieces_;
};

void bench_write(benchmark::State& state, Type type, const Shape& shape) {
  Tensor tensor(type, shape);
  for (auto _ : state) {
    tensor.encode();
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(tensor.packed()), static_cast<double>(shape.rows) * shape.columns);
}

void bench_read(benchmark::State& state, Type type, const Shape& shape) {
  const Tensor tensor(type, shape);
  std::vector<int8_t> trits(size_t{shape.rows} * shape.columns);
  for (auto _ : state) {
    bitnet::gguf::decode_rows(tensor.info, 0, shape.rows, trits.data(), {.tiles = &tiles(type)});
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(tensor.packed()), static_cast<double>(trits.size()));
}

void bench_plugin_pack(benchmark::State& state, const Plugin& plugin, const Shape& shape) {
  static constexpr uint8_t kT2[16] = BN_FINGERPRINT_T2;
  bn_format format{};
  format.struct_size = sizeof format;
  std::memcpy(format.fingerprint, kT2, sizeof kT2);
  const std::vector<uint8_t> t2(size_t{shape.rows} * shape.columns / 4, 0x64);
  const float scale = 1;
  bn_tensor w{};
  w.struct_size = sizeof w;
  w.dtype = BN_DT_TERNARY;
  w.rows = shape.rows;
  w.cols = shape.columns;
  w.n_scales = 1;
  w.scales = &scale;
  w.format = &format;
  w.data = t2.data();
  w.bytes = t2.size();
  bn_error error{};
  error.struct_size = sizeof error;
  uint64_t bytes = 0;
  if (plugin.table->accepts(plugin.device, &w) != BN_PACK) return state.SkipWithError("reads bn.t2 in place: nothing to pack");
  if (plugin.table->pack_size(plugin.device, &w, &bytes, nullptr, &error) != BN_OK) return state.SkipWithError(error.message);
  const bitnet::AlignedBuffer out(bytes);
  for (auto _ : state) {
    if (plugin.table->pack(plugin.device, &w, 0, shape.rows, out.data(), &error) != BN_OK) state.SkipWithError(error.message);
  }
  report(state, static_cast<double>(bytes), static_cast<double>(shape.rows) * shape.columns);
}

std::string shape_text(const Shape& shape) { return fmt::format("{}x{}", shape.rows, shape.columns); }

}  // namespace

void register_pack(const Plugin& plugin) {
  for (const Shape& shape : kShapes) {
    benchmark::RegisterBenchmark(fmt::format("{}/pack_t2/{}", plugin.name, shape_text(shape)).c_str(), [=](auto& state) {
      bench_plugin_pack(state, plugin, shape);
    })->Unit(benchmark::kMicrosecond);
  }
}

void register_formats() {
  for (const Type type : {Type::kI2_S, Type::kTL1, Type::kTL2, Type::kTQ1_0, Type::kTQ2_0, Type::kQ2_0, Type::kIQ1_BN,
                          Type::kIQ2_BN, Type::kIQ2_BN_R4}) {
    for (const Shape& shape : kShapes) {
      const auto add = [&](const char* what, void (*function)(benchmark::State&, Type, const Shape&)) {
        const std::string name = fmt::format("files/{}/{}/{}", what, bitnet::gguf::type_info(type).name, shape_text(shape));
        benchmark::RegisterBenchmark(name.c_str(), [=](auto& state) {
          function(state, type, shape);
        })->Unit(benchmark::kMicrosecond);
      };
      add("pack", bench_write);
      add("unpack", bench_read);
    }
  }
}

}  // namespace kernel_bench
