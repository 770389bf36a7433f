// abi/other_hosts_test.cpp - today's and other plugins under a host of the next minor version, whose structs are longer and end
// in fields full of noise, and under a host of today that has none of them. Both get the same bits and keep their bytes.
//
// Compiled against headers-future: a struct "of today" is the same without its last two fields.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "abi/aged.h"
#include "bitnet/kernels.h"

namespace bitnet::test {
namespace {

void log(void*, int32_t, const char*, uint64_t) {}
void* alloc(void*, uint64_t bytes, uint64_t align) { return std::aligned_alloc(align, (bytes + align - 1) / align * align); }
void release(void*, void* p) { std::free(p); }
void parallel_for(void*, uint32_t n, void (*fn)(void*, uint32_t), void* arg) {
  for (uint32_t i = 0; i < n; ++i) fn(arg, i);
}
const void* no_interface(void*, const char*) { return nullptr; }

// A loaded plugin, opened by a host of that age.
class Opened {
 public:
  Opened(const std::string& file, Host age) : host_(age) {
    library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) return;
    host_->abi_minor = static_cast<uint32_t>(age);
    host_->log = log, host_->alloc = alloc, host_->release = release;
    host_->parallel_for = parallel_for, host_->get_interface = no_interface;
    host_->plugin_path = "/nowhere";
    table = reinterpret_cast<bn_entry_fn>(dlsym(library_, "bitnet_plugin_v1"))(static_cast<uint32_t>(age));
    if (table == nullptr) return;
    Aged<bn_device_info> info(age);
    Aged<bn_error> error(age);
    status = table->enumerate(&host_, 0, &info, &error);
    bytes_kept = info.tail_untouched() && error.tail_untouched();
    if (status != BN_OK) return;
    status = table->open(&host_, info->id, nullptr, &device, &error);
    if (status != BN_OK) return;
    kernels = static_cast<const bn_kernels_v1*>(table->get_interface(device, BN_KERNELS_ID));
    last_answer = table->enumerate(&host_, 1000, &info, &error);
    message = error->message;
    bytes_kept = bytes_kept && info.tail_untouched() && error.tail_untouched() && host_.tail_untouched();
  }
  ~Opened() {
    if (device != nullptr) table->close(device);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  const bn_plugin* table = nullptr;
  bn_status status = BN_E_INTERNAL, last_answer = BN_OK;
  bn_device* device = nullptr;
  const bn_kernels_v1* kernels = nullptr;
  std::string message;  // why there is no device 1000
  bool bytes_kept = false;

 private:
  void* library_ = nullptr;
  Aged<bn_host> host_;
};

using Floats = std::vector<float>;

Floats numbers(size_t n, uint32_t seed) {
  Floats values(n);
  for (size_t i = 0; i < n; ++i) {
    values[i] = static_cast<float>(static_cast<int>((i + seed) * 2654435761u >> 16 & 0xFFF) - 2048) / 512.0f;
  }
  return values;
}

struct alignas(64) Scratch {
  char bytes[1 << 20];
};

// One op with a few numbers, by a host of that age; empty when the plugin does not offer it.
class Ops {
 public:
  Ops(const Opened& plugin, Host age) : plugin_(plugin), k_(*plugin.kernels), age_(age), scratch_(new Scratch) {}

  Floats matmul() {
    constexpr uint32_t kRows = 37, kCols = 300, kTokens = 3, kStride = 512;
    std::vector<uint8_t> t2(kRows * 75);
    for (size_t i = 0; i < t2.size(); ++i) t2[i] = static_cast<uint8_t>("\x18\x61\x92\x06\xA1\x55"[i * 7 % 6]);
    std::vector<int8_t> x(kTokens * kStride, 0);
    std::vector<int32_t> sum(kTokens, 0);
    for (uint32_t t = 0; t < kTokens; ++t) {
      for (uint32_t c = 0; c < kCols; ++c) sum[t] += x[t * kStride + c] = static_cast<int8_t>((c * 37 + t * 11) % 255 - 127);
    }
    const Floats x_scale = {0.5f, 0.25f, 0.125f}, w_scale = {1.5f};
    Aged<bn_format> format(age_), layout(age_);
    const uint8_t fingerprint[16] = BN_FINGERPRINT_T2;
    std::memcpy(format->fingerprint, fingerprint, 16);
    format->bits_num = 2, format->bits_den = 1;
    Aged<bn_tensor> w(age_);
    w->role = BN_T_FFN_UP, w->dtype = BN_DT_TERNARY, w->rows = kRows, w->cols = kCols, w->n_scales = 1;
    w->scales = w_scale.data(), w->data = t2.data(), w->bytes = t2.size(), w->format = &format;
    const int32_t accepted = k_.accepts(plugin_.device, &w);
    EXPECT_NE(accepted, BN_NO);
    const void* packed = t2.data();
    std::vector<uint8_t> buffer;
    if (accepted == BN_PACK) {
      Aged<bn_error> error(age_);
      uint64_t bytes = 0;
      EXPECT_EQ(k_.pack_size(plugin_.device, &w, &bytes, &layout, &error), BN_OK);
      buffer.resize(bytes + 64);
      uint8_t* aligned = buffer.data() + (64 - reinterpret_cast<uintptr_t>(buffer.data()) % 64) % 64;
      EXPECT_EQ(k_.pack(plugin_.device, &w, 0, kRows, aligned, &error), BN_OK);
      EXPECT_TRUE(layout.tail_untouched() && error.tail_untouched());
      packed = aligned;
    }
    Aged<bn_matmul> a(age_);
    Floats y(kTokens * kRows);
    a->m = kTokens, a->w = &w, a->packed = packed, a->x = x.data(), a->x_scale = x_scale.data(), a->x_sum = sum.data();
    a->y = y.data(), a->x_stride = kStride, a->y_stride = kRows;
    EXPECT_EQ(k_.matmul(plugin_.device, &a, 0, kRows, scratch_->bytes), BN_OK);
    return y;
  }

  Floats dense() {
    if (!BN_HAS(&k_, dense) || k_.dense == nullptr || (k_.dense_dtypes >> BN_DT_F32 & 1) == 0) return {};
    const Floats weights = numbers(5 * 70, 1), x = numbers(70, 2);
    Floats y(5);
    Aged<bn_tensor> w(age_);
    w->role = BN_T_OUTPUT, w->dtype = BN_DT_F32, w->rows = 5, w->cols = 70, w->data = weights.data(), w->bytes = 1400;
    Aged<bn_dense> a(age_);
    a->m = 1, a->w = &w, a->x = x.data(), a->y = y.data(), a->x_stride = 70, a->y_stride = 5;
    EXPECT_EQ(k_.dense(plugin_.device, &a, 0, 5, scratch_->bytes), BN_OK);
    return y;
  }

  Floats norm() {
    if (!BN_HAS(&k_, norm) || k_.norm == nullptr) return {};
    const Floats x = numbers(100, 3), gain = numbers(100, 4);
    Floats y(100);
    Aged<bn_norm> a(age_);
    a->n = a->x_stride = a->y_stride = 100, a->eps = 1e-5f, a->x = x.data(), a->gain = gain.data(), a->y = y.data();
    EXPECT_EQ(k_.norm(plugin_.device, &a, 0, 1, scratch_->bytes), BN_OK);
    return y;
  }

  Floats rope() {
    if (!BN_HAS(&k_, rope) || k_.rope == nullptr) return {};
    Floats x = numbers(2 * 64, 5);
    const Floats cosine = numbers(32, 6), sine = numbers(32, 7);
    Aged<bn_rope> a(age_);
    a->kind = BN_ROPE_HALVES, a->n_heads = 2, a->head_dim = a->rope_dim = 64, a->x_stride = 128;
    a->x = x.data(), a->cos = cosine.data(), a->sin = sine.data();
    EXPECT_EQ(k_.rope(plugin_.device, &a, 0, 1, 0, 2, scratch_->bytes), BN_OK);
    return x;
  }

  Floats attention() {
    if (!BN_HAS(&k_, attention) || k_.attention == nullptr) return {};
    const Floats q = numbers(2 * 64, 8), k = numbers(BN_KV_PAGE * 64, 9), v = numbers(BN_KV_PAGE * 64, 10);
    const void *k_pages[] = {k.data()}, *v_pages[] = {v.data()};
    Floats y(2 * 64);
    Aged<bn_attn> a(age_);
    a->n_heads = 2, a->n_kv_heads = 1, a->head_dim = 64, a->pos0 = 20, a->kv_dtype = BN_DT_F32;
    a->kv_stride_pos = a->kv_stride_head = 64, a->q_stride = a->y_stride = 128, a->scale = 0.125f;
    a->q = q.data(), a->k = k_pages, a->v = v_pages, a->y = y.data();
    EXPECT_EQ(k_.attention(plugin_.device, &a, 0, 1, 0, 2, scratch_->bytes), BN_OK);
    return y;
  }

  Floats glu() {
    if (!BN_HAS(&k_, glu) || k_.glu == nullptr) return {};
    const Floats gate = numbers(77, 11), up = numbers(77, 12);
    Floats y(77);
    Aged<bn_glu> a(age_);
    a->act = BN_ACT_SILU, a->gate_stride = a->up_stride = a->y_stride = 77;
    a->gate = gate.data(), a->up = up.data(), a->y = y.data();
    EXPECT_EQ(k_.glu(plugin_.device, &a, 0, 1, 0, 77, scratch_->bytes), BN_OK);
    return y;
  }

  std::map<std::string, Floats> all() {
    return {{"matmul", matmul()}, {"dense", dense()},         {"norm", norm()},
            {"rope", rope()},     {"attention", attention()}, {"glu", glu()}};
  }

 private:
  const Opened& plugin_;
  const bn_kernels_v1& k_;
  Host age_;
  std::unique_ptr<Scratch> scratch_;
};

std::string file_of(const std::string& name) {
  const bool ours = name.rfind("cpu_", 0) == 0;
  return std::string(ours ? BITNET_FIRST_PARTY_PLUGINS : BITNET_ABI_PLUGINS) + "/bn_" + name + ".so";
}

class OtherHosts : public testing::TestWithParam<const char*> {};

TEST_P(OtherHosts, GetTheSameBitsAndKeepTheirBytes) {
  const std::string file = file_of(GetParam());
  std::map<std::string, Floats> results[2];
  for (const Host age : {Host::kToday, Host::kFuture}) {
    const Opened plugin(file, age);
    ASSERT_NE(plugin.table, nullptr) << file;
    if (plugin.status == BN_E_UNSUPPORTED) GTEST_SKIP() << GetParam() << " cannot run on this machine";
    ASSERT_EQ(plugin.status, BN_OK);
    ASSERT_NE(plugin.kernels, nullptr);
    EXPECT_TRUE(plugin.bytes_kept) << "it wrote where its caller has no field";
    EXPECT_EQ(plugin.last_answer, BN_E_UNSUPPORTED);
    EXPECT_NE(plugin.message, "");
    results[static_cast<size_t>(age)] = Ops(plugin, age).all();
  }
  for (const auto& [op, today] : results[0]) {
    const Floats& future = results[1].at(op);
    ASSERT_EQ(today.size(), future.size()) << op;
    EXPECT_TRUE(today.empty() || std::memcmp(today.data(), future.data(), 4 * today.size()) == 0) << op;
  }
  // What is offered differs, the required op's bits do not.
  const Opened portable(file_of("cpu_portable"), Host::kToday);
  ASSERT_NE(portable.kernels, nullptr);
  EXPECT_EQ(results[0]["matmul"], Ops(portable, Host::kToday).matmul());
  EXPECT_NE(results[0]["matmul"], Floats(results[0]["matmul"].size(), 0.0f));
}

INSTANTIATE_TEST_SUITE_P(Plugins, OtherHosts, testing::Values("cpu_portable", "cpu_avx2", "museum_0_1", "future"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(OtherHost, IsTooOldForAPluginThatNeedsTheNextMinor) {
  EXPECT_EQ(Opened(file_of("needs_newer"), Host::kToday).table, nullptr);
  EXPECT_NE(Opened(file_of("needs_newer"), Host::kFuture).table, nullptr);
}

}  // namespace
}  // namespace bitnet::test
