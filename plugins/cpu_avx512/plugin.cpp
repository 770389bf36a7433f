// cpu_avx512/plugin.cpp - the AVX-512 backend at the plugin boundary: manifest, device, answers about formats, table of ops.
//
// Compiled for the baseline CPU: this file runs before anybody knows that the machine has AVX-512.
#include "bitnet/kit/plugin.hpp"

#include <cstring>

#include "bitnet/kit/options.hpp"
#include "bitnet/kit/packs_i2s128.hpp"
#include "bitnet/kit/vector/dense_types.hpp"
#include "kernels.h"
#include "packs_fives.h"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.cpu-avx512", "name": "cpu_avx512", "version": "0.1.0",
 "kind": "cpu", "tiers": ["kernels"], "arch": ["x86_64"], "cpu": ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"], "numerics": "exact-1"})");

namespace {

using bn::kit::Option;
using bn::kit::read_option;
using bn::kit::set_error;

// avx512f includes that the system saves zmm registers.
bool cpu_has_features() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
  if (!cpu_has_features()) return set_error(error, BN_E_UNSUPPORTED, "this CPU lacks AVX-512 (F, BW, DQ, VL) or its VNNI");
  info->kind = BN_DEV_CPU;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, "CPU, AVX-512 VNNI");
  return BN_OK;
}

void close(bn_device*) {}

// How weights lie and who multiplies them.
struct Matrices {
  uint32_t row_granule;  // rows that are worked on together: ranges that start so leave nothing over
  uint32_t k_align;
  decltype(bn_kernels_v1::accepts) accepts;
  decltype(bn_kernels_v1::pack_size) pack_size;
  decltype(bn_kernels_v1::pack) pack;
  decltype(bn_kernels_v1::matmul) matmul;
};
constexpr Matrices planes_with(decltype(bn_kernels_v1::matmul) matmul) {
  return {16,
          bn::kit::i2s128::kGroup,
          bn::kit::i2s128::accepts,
          bn::kit::i2s128::pack_size,
          bn::kit::i2s128::pack<bn::avx512::pack_rows>,
          matmul};
}

constexpr bn_kernels_v1 table_with(const Matrices& m) {
  return {sizeof(bn_kernels_v1),
          BN_EXACT_1,
          0.0f,
          m.row_granule,
          m.k_align,
          bn::avx512::kScratchBytes,
          m.accepts,
          m.pack_size,
          m.pack,
          m.matmul,
          bn::kit::vector::kDenseDtypes,
          bn::avx512::dense,
          bn::avx512::norm,
          bn::avx512::rope,
          bn::avx512::attention,
          bn::avx512::glu,
          bn::avx512::attention_parts,
          bn::avx512::merge_parts};
}

// The kernels keep no state: a device is the address of its table.
constexpr bn_kernels_v1 kDots = table_with(planes_with(bn::avx512::matmul));
constexpr bn_kernels_v1 kTables = table_with(planes_with(bn::avx512::table_matmul));
constexpr bn_kernels_v1 kFives =
    table_with({bn::avx512::fives::kRowsTogether, bn::avx512::fives::kColumns, bn::avx512::fives::accepts,
                bn::avx512::fives::pack_size, bn::avx512::fives::pack, bn::avx512::table_matmul_fives});

// Which of two words an option holds; absent: kAbsent.
enum class Choice { kAbsent, kFirst, kSecond, kWrong };
Choice choice(const char* options, const char* name, const char* first, const char* second, bn_error* error) {
  char word[16] = "";
  switch (read_option(options, name, word, sizeof word)) {
    case Option::kAbsent:
      return Choice::kAbsent;
    case Option::kNotAnObject:
      set_error(error, BN_E_INVALID, "options: not a JSON object: %.160s", options);
      return Choice::kWrong;
    default:
      break;
  }
  if (std::strcmp(word, first) == 0) return Choice::kFirst;
  if (std::strcmp(word, second) == 0) return Choice::kSecond;
  set_error(error, BN_E_INVALID, "option %s: expected \"%s\" or \"%s\", found: %.160s", name, first, second, options);
  return Choice::kWrong;
}

// Option prompts: how many tokens are multiplied, "tables" or "dots" (table_tiles.h). Option weights: "packed", three in five
// bits (packs_fives.h), or "in_place", as the file has them. Absent: what is faster on this CPU.
bn_status open(const bn_host*, const char*, const char* options, bn_device** device, bn_error* error) {
  if (!cpu_has_features()) return set_error(error, BN_E_UNSUPPORTED, "this CPU lacks AVX-512 (F, BW, DQ, VL) or its VNNI");
  const Choice prompts = choice(options, "prompts", "tables", "dots", error);
  const Choice weights = prompts == Choice::kWrong ? prompts : choice(options, "weights", "packed", "in_place", error);
  if (weights == Choice::kWrong) return BN_E_INVALID;
  const bool has_vbmi = __builtin_cpu_supports("avx512vbmi");
  if (weights == Choice::kFirst && !has_vbmi) {
    return set_error(error, BN_E_UNSUPPORTED, "option weights: \"packed\" needs AVX-512 VBMI, which this CPU lacks");
  }
  if (weights == Choice::kFirst && prompts == Choice::kSecond) {
    return set_error(error, BN_E_INVALID, "options weights and prompts: \"packed\" goes with \"tables\" only");
  }
  const bool tables = prompts == Choice::kFirst || (prompts == Choice::kAbsent && __builtin_cpu_is("amd"));
  const bool packed = weights == Choice::kFirst || (weights == Choice::kAbsent && tables && has_vbmi);
  const bn_kernels_v1* table = packed ? &kFives : tables ? &kTables : &kDots;
  *device = reinterpret_cast<bn_device*>(const_cast<bn_kernels_v1*>(table));
  return BN_OK;
}

const void* get_interface(bn_device* device, const char* id) { return std::strcmp(id, BN_KERNELS_ID) == 0 ? device : nullptr; }

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.cpu-avx512", "0.1.0", "bitnet-run", 0, enumerate, open, close,
    get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
