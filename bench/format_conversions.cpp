// bench/format_conversions.cpp - weights from codes into the bytes of a format and back; and into a plugin's own layout.
//
// pack: what the generator does to write a file. unpack: what the runtime does to read one, trits and checks included. GB/s are
// bytes of packed weights; Gweights/s is the same for all formats.
#include <cstring>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "gguf/ternary_formats.h"
#include "kernel_bench.h"
#include "random_weights.h"

namespace kernel_bench {
namespace {

using bitnet::gguf::Type;

struct Shape {
  uint32_t rows, columns;
};
constexpr Shape kShapes[] = {{kWidth, kWidth}, {kFfn, kWidth}, {kWidth, kFfn}};

std::vector<uint8_t> random_codes(const Shape& shape) {
  std::vector<uint8_t> codes(size_t{shape.rows} * shape.columns);
  bitnet::bench::Random random(1, "codes");
  bitnet::bench::draw_codes(random, codes.size(), codes.data());
  return codes;
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
  Tensor(Type type, const Shape& shape) : bytes_(4 * size_t{shape.rows} * shape.columns / 2 + 64 * size_t{shape.rows}) {
    const std::vector<uint8_t> codes = random_codes(shape);
    packed = bitnet::bench::pack_codes(type, codes.data(), shape.rows, shape.columns, 0.5f, bytes_.data());
    const bitnet::gguf::TypeInfo& format = bitnet::gguf::type_info(type);
    constexpr float kScale = 0.5f;
    if (format.tail > 0) std::memcpy(bytes_.data() + packed, &kScale, sizeof kScale);
    info.name = "benchmark";
    info.n_dims = 2;
    info.extents = {shape.columns, shape.rows, 1, 1};
    info.type_id = format.id;
    info.type = &format;
    info.bytes = packed + format.tail;
    info.data = bytes_.data();
  }

  bitnet::gguf::TensorInfo info;
  uint64_t packed = 0;

 private:
  std::vector<uint8_t> bytes_;
};

void bench_write(benchmark::State& state, Type type, const Shape& shape) {
  if (!bitnet::bench::can_pack(type)) return state.SkipWithError("not measured: this version does not write the format");
  const std::vector<uint8_t> codes = random_codes(shape);
  std::vector<uint8_t> out(2 * codes.size() + 64 * size_t{shape.rows});
  uint64_t bytes = 0;
  for (auto _ : state) {
    bytes = bitnet::bench::pack_codes(type, codes.data(), shape.rows, shape.columns, 0.5f, out.data());
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(bytes), static_cast<double>(codes.size()));
}

void bench_read(benchmark::State& state, Type type, const Shape& shape) {
  if (!bitnet::gguf::ternary_scale_kind(bitnet::gguf::type_info(type))) {
    return state.SkipWithError("not measured: this version does not read the format");
  }
  if (!bitnet::bench::can_pack(type)) return state.SkipWithError("not measured: nothing here writes the format to read it");
  const Tensor tensor(type, shape);
  std::vector<int8_t> trits(size_t{shape.rows} * shape.columns);
  for (auto _ : state) {
    bitnet::gguf::decode_rows(tensor.info, 0, shape.rows, trits.data());
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(tensor.packed), static_cast<double>(trits.size()));
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
  for (const Type type : {Type::kI2_S, Type::kTL1, Type::kTL2, Type::kTQ1_0, Type::kTQ2_0, Type::kIQ2_BN}) {
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
