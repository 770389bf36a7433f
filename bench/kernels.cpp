// bench/kernels.cpp - speed of every op of every kernels plugin in the build tree, one thread, beside the ceilings.
//
// Shapes are those of a 2B model: width 2560, FFN 6912, 20 query and 5 KV heads of 128, vocabulary 128256. Weights are
// rotated through a pool much larger than the caches, so one token reads them from memory as a decoder does. Counters:
//  GB/s      bytes of weights (or KV) per second    of_read     share of the read bandwidth of one thread
//  GMAC/s    multiply-accumulates per second        of_maddubs  share of the vpmaddubsw rate of one thread
// dispatch is a call of matmul through the table with no row to do; of_matmul_o its share of that op, measured beside it.
// Times are CPU times of the thread. `--benchmark_filter=cpu_avx2/matmul` and the other flags of Google Benchmark apply.
#include "bitnet/kernels.h"

#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bitnet/kit/dense_rows.hpp"
#include "bitnet/kit/ternary.hpp"
#include "ceilings.h"

namespace {

using bitnet::bench::Ceilings;

constexpr uint32_t kWidth = 2560, kFfn = 6912, kHeads = 20, kKvHeads = 5, kHeadDim = 128, kVocabulary = 128256;
constexpr uint32_t kPrompt = 512, kFew = 4, kFewMost = 8;  // tokens; few: as drafts are verified
constexpr size_t kPoolBytes = size_t{704} << 20;           // the f16 head and more

struct Plugin {
  std::string name;
  bn_device* device;
  const bn_kernels_v1* table;
};

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
  const uint8_t* next() { return weight_pool() + i_++ % places_ * bytes_; }

 private:
  size_t bytes_, places_, i_ = 0;
};

// Counters from the bytes and multiply-accumulates of one iteration.
void report(benchmark::State& state, const Ceilings& ceilings, double bytes, double macs, bool int8) {
  using benchmark::Counter;
  const double n = static_cast<double>(state.iterations());
  if (bytes > 0) {
    state.counters["GB/s"] = Counter(1e-9 * bytes * n, Counter::kIsRate);
    if (ceilings.read_gbps_1 > 0)
      state.counters["of_read"] = Counter(1e-9 * bytes * n / ceilings.read_gbps_1, Counter::kIsRate);
  }
  if (macs > 0) {
    state.counters["GMAC/s"] = Counter(1e-9 * macs * n, Counter::kIsRate);
    if (int8 && ceilings.maddubs_gmacs_1 > 0) {
      state.counters["of_maddubs"] = Counter(1e-9 * macs * n / ceilings.maddubs_gmacs_1, Counter::kIsRate);
    }
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

enum class Rows { kAll, kNone };  // kNone: what the call alone costs

void bench_matmul(benchmark::State& state, const Plugin& plugin, const Ceilings& ceilings, uint32_t rows, uint32_t cols,
                  uint32_t m, Rows done = Rows::kAll) {
  static const uint8_t fingerprint[16] = BN_FINGERPRINT_I2S128;
  bn_format format{};
  format.struct_size = sizeof format;
  std::memcpy(format.fingerprint, fingerprint, sizeof fingerprint);
  const float scale = 0.01f;
  bn_tensor w{};
  w.struct_size = sizeof w;
  w.dtype = BN_DT_TERNARY;
  w.rows = rows;
  w.cols = cols;
  w.n_scales = 1;
  w.scales = &scale;
  w.format = &format;
  if (plugin.table->accepts(plugin.device, &w) != BN_NATIVE) {
    state.SkipWithError("does not read bn.i2s128 in place");
    return;
  }
  const auto x = allocate<int8_t>(size_t{m} * cols);
  for (size_t i = 0; i < size_t{m} * cols; ++i) x.get()[i] = static_cast<int8_t>(static_cast<int>(i * 7919 % 255) - 127);
  const std::vector<float> x_scale(m, 0.01f);
  const std::vector<int32_t> x_sum(m, 0);
  const auto y = allocate<float>(size_t{m} * rows);
  const auto scratch = allocate<uint8_t>(plugin.table->scratch_bytes + 1);
  const size_t bytes = size_t{rows} * cols / 4;
  Rotation weights(bytes);
  bn_matmul a{sizeof a, m, &w, nullptr, x.get(), x_scale.data(), x_sum.data(), y.get(), cols, rows};
  const auto multiply = [&] {
    a.packed = weights.next();
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
  report(state, ceilings, m == 1 ? static_cast<double>(bytes) : 0, static_cast<double>(m) * rows * cols, true);
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
  report(state, ceilings, m == 1 ? static_cast<double>(bytes) : 0, static_cast<double>(m) * rows * kWidth, false);
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
         2.0 * seen * kHeads * kHeadDim, false);
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

void register_plugin(const Plugin& p, const Ceilings& ceilings) {
  const auto add = [&](const std::string& op, auto function) {
    benchmark::RegisterBenchmark((p.name + "/" + op).c_str(), function)->Unit(benchmark::kMicrosecond);
  };
  const struct {
    const char* name;
    uint32_t rows, cols;
  } matrices[] = {{"qkv", 3840, kWidth}, {"o", kWidth, kWidth}, {"gate_up", kFfn, kWidth}, {"down", kWidth, kFfn}};
  add("dispatch", [=](auto& s) { bench_matmul(s, p, ceilings, kWidth, kWidth, 1, Rows::kNone); });
  for (const uint32_t m : {kFew, kFewMost}) {
    add("matmul_gate_up/m:" + std::to_string(m), [=](auto& s) { bench_matmul(s, p, ceilings, kFfn, kWidth, m); });
  }
  for (const uint32_t m : {1u, kPrompt}) {
    const std::string tokens = "/m:" + std::to_string(m);
    for (const auto& w : matrices) {
      add(std::string("matmul_") + w.name + tokens, [=](auto& s) { bench_matmul(s, p, ceilings, w.rows, w.cols, m); });
    }
    const bn_kernels_v1* t = p.table;
    const uint32_t head_rows = m == 1 ? kVocabulary : 2048;  // all rows at 512 tokens would take minutes
    if (t->dense) add("head_f16" + tokens, [=](auto& s) { bench_dense(s, p, ceilings, BN_DT_F16, head_rows, m); });
    if (t->dense) add("head_i8" + tokens, [=](auto& s) { bench_dense(s, p, ceilings, BN_DT_I8_ROW, head_rows, m); });
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

// Opens a plugin that offers kernels here; says why not otherwise. Plugins stay loaded until the end.
bool open_plugin(const std::filesystem::path& path, const char* options, Plugin* plugin) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* symbol = library == nullptr ? nullptr : dlsym(library, "bitnet_plugin_v1");
  if (symbol == nullptr) {
    std::fprintf(stderr, "bitnet-bench-kernels: skipped %s: %s\n", path.c_str(), dlerror());
    return false;
  }
  const bn_plugin* p = reinterpret_cast<bn_entry_fn>(symbol)(BN_ABI_MINOR);
  bn_error error{};
  error.struct_size = sizeof error;
  bn_device_info info{};
  info.struct_size = sizeof info;
  if (p == nullptr || p->enumerate(nullptr, 0, &info, &error) != BN_OK || info.kind != BN_DEV_CPU ||
      p->open(nullptr, info.id, options, &plugin->device, &error) != BN_OK) {
    std::fprintf(stderr, "bitnet-bench-kernels: skipped %s: %s\n", path.c_str(),
                 error.message[0] ? error.message : "not a CPU");
    return false;
  }
  plugin->table = static_cast<const bn_kernels_v1*>(p->get_interface(plugin->device, BN_KERNELS_ID));
  plugin->name = path.stem().string();
  if (plugin->name.starts_with("bn_")) plugin->name.erase(0, 3);
  return plugin->table != nullptr;
}

}  // namespace

// Arguments: flags of Google Benchmark, then --options=JSON for every device, then folders or files of plugins; without any,
// the plugins of the build tree.
int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::filesystem::path> files;
  std::vector<std::string> places(argv + 1, argv + argc);
  std::string options;
  if (!places.empty() && places[0].starts_with("--options=")) {
    options = places[0].substr(sizeof "--options=" - 1);
    places.erase(places.begin());
  }
  if (places.empty()) places.push_back(BITNET_PLUGIN_FOLDER);
  for (const std::string& place : places) {
    if (!std::filesystem::is_directory(place)) {
      files.push_back(place);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(place)) {
      if (entry.path().extension() == ".so") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  const Ceilings ceilings = bitnet::bench::measure_ceilings(1);
  std::printf("ceilings, one thread: read %.1f GB/s, maddubs %.1f GMAC/s\n", ceilings.read_gbps_1, ceilings.maddubs_gmacs_1);
  for (const auto& file : files) {
    Plugin plugin{};
    if (open_plugin(std::filesystem::absolute(file), options.empty() ? nullptr : options.c_str(), &plugin))
      register_plugin(plugin, ceilings);
  }
  weight_pool();  // filled before anything is timed
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
