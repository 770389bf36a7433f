// bench/kernel_ops.cpp - every op of a kernels plugin, one thread, on the shapes of a 2B model.
//
// Weights are rotated through a pool much larger than the caches, so one token reads them from memory as a decoder does.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/error.h"
#include "bitnet/kit/dense_rows.hpp"
#include "bitnet/kit/ternary.hpp"
#include "kernel_bench.h"

namespace kernel_bench {
namespace {

constexpr uint32_t kLongPrompt = 512;
constexpr size_t kPoolBytes = size_t{704} << 20;  // the f16 head and more

template <class T>
struct Free {
  void operator()(T* p) const { std::free(p); }
};
template <class T>
using Buffer = std::unique_ptr<T, Free<T>>;

// n elements, 64-byte aligned as the runtime's are, uninitialised.
template <class T>
Buffer<T> allocate(size_t n) {
  Buffer<T> p(static_cast<T*>(std::aligned_alloc(4096, (n * sizeof(T) + 4095) / 4096 * 4096)));
  if (p == nullptr) {
    std::fprintf(stderr, "bitnet-bench-kernels: cannot allocate %zu bytes\n", n * sizeof(T));
    std::exit(1);
  }
  return p;
}

Buffer<float> floats(size_t n) {
  auto p = allocate<float>(n);
  for (size_t i = 0; i < n; ++i) p.get()[i] = static_cast<float>(static_cast<int>(i * 7919 % 2001) - 1000) * 1e-3f;
  return p;
}

// Bytes that are valid as ternary codes (no code 3) and, two by two, as halves of a size near 1/32.
uint8_t* weight_pool() {
  static const Buffer<uint8_t> pool = [] {
    auto p = allocate<uint8_t>(kPoolBytes);
    for (size_t i = 0; i < kPoolBytes; ++i) p.get()[i] = i % 2 == 0 ? i * 31 / 7 % 256 & 0x55 : 0x28 | (i / 2 % 2 << 7);
    return p;
  }();
  return pool.get();
}

// Places for weights of `bytes` bytes, one after the other.
class Rotation {
 public:
  explicit Rotation(size_t bytes) : bytes_((bytes + 4095) / 4096 * 4096), places_(kPoolBytes / bytes_) {}
  const uint8_t* next() { return pool_ + i_++ % places_ * bytes_; }

 private:
  const uint8_t* pool_ = weight_pool();  // made now, not while somebody measures
  size_t bytes_, places_, i_ = 0;
};

// Counters from the bytes and multiply-accumulates of one iteration; 0: none. `int8`: that instruction's rate bounds them.
void report(benchmark::State& state, const Ceilings& ceilings, double bytes, double macs, const std::string& int8 = {}) {
  using benchmark::Counter;
  const double n = static_cast<double>(state.iterations());
  const auto rate = [&](double units) { return Counter(1e-9 * units * n, Counter::kIsRate); };
  if (bytes > 0) {
    state.counters["GB/s"] = rate(bytes);
    if (ceilings.read_gbps > 0) state.counters["of_read"] = rate(bytes / ceilings.read_gbps);
  }
  if (macs > 0) {
    state.counters["GMAC/s"] = rate(macs);
    if (const double gmacs = ceilings.gmacs_of(int8); gmacs > 0) state.counters["of_" + int8] = rate(macs / gmacs);
  }
}

// Median seconds of f() over 101 calls.
template <class F>
double median_seconds(F&& f) {
  std::vector<double> seconds;
  for (int i = 0; i < 101; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + 50, seconds.end());
  return seconds[50];
}

bn_format format_of(const uint8_t (&fingerprint)[16]) {
  bn_format format{};
  format.struct_size = sizeof format;
  std::memcpy(format.fingerprint, fingerprint, sizeof fingerprint);
  return format;
}

// A ternary matrix as the plugin wants it, at many places of memory: bn.i2s128 in place, else packed from bn.t2.
class Matrix {
 public:
  Matrix(const Plugin& plugin, uint32_t rows, uint32_t cols) {
    w.struct_size = sizeof w;
    w.dtype = BN_DT_TERNARY;
    w.rows = rows;
    w.cols = cols;
    w.n_scales = 1;
    w.scales = &kScale;
    w.format = &i2s128_;
    if (plugin.table->accepts(plugin.device, &w) == BN_NATIVE) {
      bytes_ = size_t{rows} * cols / 4;
      places_ = std::make_unique<Rotation>(bytes_);
      return;
    }
    w.format = &t2_;
    w.data = weight_pool();
    pack(plugin);
  }

  const void* next() {
    if (places_) return places_->next();
    return copies_.get() + i_++ % n_copies_ * stride_;
  }
  bool usable() const { return places_ != nullptr || copies_ != nullptr; }
  size_t bytes() const { return bytes_; }

  bn_tensor w{};

 private:
  void pack(const Plugin& plugin) {
    bn_error error{};
    error.struct_size = sizeof error;
    uint64_t bytes = 0;
    if (plugin.table->pack_size(plugin.device, &w, &bytes, nullptr, &error) != BN_OK) return;
    bytes_ = bytes;
    stride_ = (bytes_ + 4095) / 4096 * 4096;
    n_copies_ = kPackedBytes / stride_ + 1;
    copies_ = allocate<uint8_t>(n_copies_ * stride_);
    if (plugin.table->pack(plugin.device, &w, 0, w.rows, copies_.get(), &error) != BN_OK) copies_.reset();
    for (size_t i = 1; copies_ && i < n_copies_; ++i) std::memcpy(copies_.get() + i * stride_, copies_.get(), bytes_);
  }

  static constexpr float kScale = 0.01f;
  static constexpr size_t kPackedBytes = size_t{256} << 20;
  static constexpr uint8_t kI2s128[16] = BN_FINGERPRINT_I2S128, kT2[16] = BN_FINGERPRINT_T2;
  const bn_format i2s128_ = format_of(kI2s128), t2_ = format_of(kT2);
  std::unique_ptr<Rotation> places_;
  Buffer<uint8_t> copies_;
  size_t bytes_ = 0, stride_ = 0, n_copies_ = 0, i_ = 0;
};

enum class Rows { kAll, kNone };  // kNone: what the call alone costs

void bench_matmul(benchmark::State& state, const Plugin& plugin, const Ceilings& ceilings, uint32_t rows, uint32_t cols,
                  uint32_t m, Rows done = Rows::kAll) {
  Matrix matrix(plugin, rows, cols);
  if (!matrix.usable()) return state.SkipWithError("takes neither bn.i2s128 nor bn.t2");
  const uint32_t align = std::max(1u, plugin.table->k_align), stride = (cols + align - 1) / align * align;
  const auto x = allocate<int8_t>(size_t{m} * stride);
  for (size_t i = 0; i < size_t{m} * stride; ++i) {
    x.get()[i] = i % stride < cols ? static_cast<int8_t>(static_cast<int>(i * 7919 % 255) - 127) : int8_t{0};
  }
  const std::vector<float> x_scale(m, 0.01f);
  const std::vector<int32_t> x_sum(m, 0);
  const auto y = allocate<float>(size_t{m} * rows);
  const auto scratch = allocate<uint8_t>(plugin.table->scratch_bytes + 1);
  bn_matmul a{sizeof a, m, &matrix.w, nullptr, x.get(), x_scale.data(), x_sum.data(), y.get(), stride, rows};
  const auto multiply = [&] {
    a.packed = matrix.next();
    plugin.table->matmul(plugin.device, &a, 0, rows, scratch.get());
  };
  if (done == Rows::kNone) {
    const double whole = median_seconds(multiply);
    for (auto _ : state) plugin.table->matmul(plugin.device, &a, 0, 0, scratch.get());
    using benchmark::Counter;
    state.counters["of_matmul_o"] = Counter(static_cast<double>(state.iterations()) * whole,
                                            static_cast<Counter::Flags>(Counter::kIsRate | Counter::kInvert));
    return;
  }
  for (auto _ : state) multiply();
  report(state, ceilings, static_cast<double>(matrix.bytes()), static_cast<double>(m) * rows * cols, plugin.instruction);
}

void bench_dense(benchmark::State& state, const Plugin& plugin, const Ceilings& ceilings, uint32_t dtype, uint32_t rows,
                 uint32_t m) {
  bn_tensor w{};
  w.struct_size = sizeof w;
  w.dtype = dtype;
  w.rows = rows;
  w.cols = kWidth;
  const float scale = 0.01f;
  w.scales = &scale;
  w.n_scales = 1;
  const auto x = floats(size_t{m} * kWidth);
  const auto y = allocate<float>(size_t{m} * rows);
  const auto scratch = allocate<uint8_t>(plugin.table->scratch_bytes + 1);
  const size_t bytes = size_t{rows} * bn::kit::dense_row_bytes(dtype, kWidth);
  Rotation weights(bytes);
  const bn_dense a{sizeof a, m, &w, x.get(), y.get(), kWidth, rows};
  for (auto _ : state) {
    w.data = weights.next();
    plugin.table->dense(plugin.device, &a, 0, rows, scratch.get());
  }
  report(state, ceilings, m == 1 ? static_cast<double>(bytes) : 0, static_cast<double>(m) * rows * kWidth);
}

void bench_norm(benchmark::State& state, const Plugin& plugin, uint32_t n, uint32_t m) {
  const auto x = floats(size_t{m} * n), gain = floats(n);
  const auto q = allocate<int8_t>(size_t{m} * n);
  std::vector<float> scale(m);
  std::vector<int32_t> sum(m);
  const auto scratch = allocate<uint8_t>(plugin.table->scratch_bytes + 1);
  bn_norm a{};
  a.struct_size = sizeof a;
  a.n = a.x_stride = a.y_stride = a.q_stride = n;
  a.eps = 1e-5f;
  a.x = x.get();
  a.gain = gain.get();
  a.q = q.get();
  a.q_scale = scale.data();
  a.q_sum = sum.data();
  for (auto _ : state) plugin.table->norm(plugin.device, &a, 0, m, scratch.get());
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * n * m);
}

// Keys and values of `positions` positions, each page [kv head][position][head_dim].
void bench_attention(benchmark::State& state, const Plugin& plugin, const Ceilings& ceilings, uint32_t kv_dtype,
                     uint32_t positions, uint32_t m) {
  const size_t element = kv_dtype == BN_DT_F16 ? 2 : 4, page_bytes = element * BN_KV_PAGE * kKvHeads * kHeadDim;
  const uint32_t pages = (positions + BN_KV_PAGE - 1) / BN_KV_PAGE;
  std::vector<const void*> k(pages), v(pages);
  const auto q = floats(size_t{m} * kWidth);
  const auto y = allocate<float>(size_t{m} * kWidth);
  const auto scratch = allocate<uint8_t>(plugin.table->scratch_bytes + 1);
  Rotation layers(2 * pages * page_bytes);
  bn_attn a{};
  a.struct_size = sizeof a;
  a.n_heads = kHeads;
  a.n_kv_heads = kKvHeads;
  a.head_dim = kHeadDim;
  a.pos0 = positions - m;
  a.kv_dtype = kv_dtype;
  a.kv_stride_pos = kHeadDim;
  a.kv_stride_head = kHeadDim * BN_KV_PAGE;
  a.q_stride = a.y_stride = kWidth;
  a.scale = 1.0f / std::sqrt(static_cast<float>(kHeadDim));
  a.q = q.get();
  a.k = k.data();
  a.v = v.data();
  a.y = y.get();
  for (auto _ : state) {
    const uint8_t* layer = layers.next();
    for (uint32_t i = 0; i < pages; ++i) {
      k[i] = layer + 2 * i * page_bytes;
      v[i] = layer + (2 * i + 1) * page_bytes;
    }
    plugin.table->attention(plugin.device, &a, 0, m, 0, kHeads, scratch.get());
  }
  const double seen = static_cast<double>(m) * (positions - m) + 0.5 * m * (m + 1.0);  // pairs of token and position
  report(state, ceilings, m == 1 ? 2.0 * positions * kKvHeads * kHeadDim * static_cast<double>(element) : 0,
         2.0 * seen * kHeads * kHeadDim);
}

void bench_rope(benchmark::State& state, const Plugin& plugin, uint32_t kind, uint32_t m) {
  const auto x = floats(size_t{m} * kWidth), tables = floats(size_t{m} * kHeadDim);
  const auto scratch = allocate<uint8_t>(plugin.table->scratch_bytes + 1);
  bn_rope a{};
  a.struct_size = sizeof a;
  a.kind = kind;
  a.n_heads = kHeads;
  a.head_dim = a.rope_dim = kHeadDim;
  a.x_stride = kWidth;
  a.x = x.get();
  a.cos = a.sin = tables.get();
  for (auto _ : state) plugin.table->rope(plugin.device, &a, 0, m, 0, kHeads, scratch.get());
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * m * kWidth);
}

void bench_glu(benchmark::State& state, const Plugin& plugin, uint32_t act, uint32_t m) {
  const auto gate = floats(size_t{m} * kFfn), up = floats(size_t{m} * kFfn);
  const auto y = allocate<float>(size_t{m} * kFfn);
  const auto scratch = allocate<uint8_t>(plugin.table->scratch_bytes + 1);
  const bn_glu a{sizeof a, act, kFfn, kFfn, kFfn, 0, gate.get(), up.get(), y.get()};
  for (auto _ : state) plugin.table->glu(plugin.device, &a, 0, m, 0, kFfn, scratch.get());
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * m * kFfn);
}

}  // namespace

void register_ops(const Plugin& p, const Ceilings& ceilings) {
  const auto add = [&](const std::string& op, auto function) {
    benchmark::RegisterBenchmark((p.name + "/" + op).c_str(), function)->Unit(benchmark::kMicrosecond);
  };
  const struct {
    const char* name;
    uint32_t rows, cols;
  } matrices[] = {{"qkv", 3840, kWidth}, {"o", kWidth, kWidth}, {"gate_up", kFfn, kWidth}, {"down", kWidth, kFfn}};
  add("dispatch", [=](auto& s) { bench_matmul(s, p, ceilings, kWidth, kWidth, 1, Rows::kNone); });
  // A token; a token and guesses; the prompts of AC10; one of llama-bench.
  for (const uint32_t m : {1u, 2u, 4u, 8u, 16u, 10u, 50u, 100u, 200u, kLongPrompt}) {
    for (const auto& w : matrices) {
      add(fmt::format("matmul_{}/m:{}", w.name, m), [=](auto& s) { bench_matmul(s, p, ceilings, w.rows, w.cols, m); });
    }
  }
  for (const uint32_t m : {1u, 2u, 4u, 8u, 16u, kLongPrompt}) {
    const std::string tokens = "/m:" + std::to_string(m);
    const bn_kernels_v1* t = p.table;
    const uint32_t head_rows = m < kLongPrompt ? kVocabulary : 2048;  // all rows at 512 tokens would take minutes
    if (t->dense) add("head_f16" + tokens, [=](auto& s) { bench_dense(s, p, ceilings, BN_DT_F16, head_rows, m); });
    if (t->dense) add("head_i8" + tokens, [=](auto& s) { bench_dense(s, p, ceilings, BN_DT_I8_ROW, head_rows, m); });
    if (m != 1 && m != kLongPrompt) continue;
    if (t->norm) add("norm_2560" + tokens, [=](auto& s) { bench_norm(s, p, kWidth, m); });
    if (t->norm) add("norm_6912" + tokens, [=](auto& s) { bench_norm(s, p, kFfn, m); });
    if (t->rope) add("rope_halves" + tokens, [=](auto& s) { bench_rope(s, p, BN_ROPE_HALVES, m); });
    if (t->rope) add("rope_pairs" + tokens, [=](auto& s) { bench_rope(s, p, BN_ROPE_PAIRS, m); });
    if (t->glu) add("glu_relu2" + tokens, [=](auto& s) { bench_glu(s, p, BN_ACT_RELU2, m); });
    if (t->glu) add("glu_silu" + tokens, [=](auto& s) { bench_glu(s, p, BN_ACT_SILU, m); });
    if (t->attention == nullptr) continue;
    const uint32_t positions = m == 1 ? 4096 : m;
    add("attention_f16" + tokens, [=](auto& s) { bench_attention(s, p, ceilings, BN_DT_F16, positions, m); });
    add("attention_f32" + tokens, [=](auto& s) { bench_attention(s, p, ceilings, BN_DT_F32, positions, m); });
  }
}

}  // namespace kernel_bench
