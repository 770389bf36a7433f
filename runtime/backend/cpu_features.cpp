// backend/cpu_features.cpp - CPUID through the compiler's runtime, which checks XCR0 too; HWCAP on 64-bit Arm.
#include "backend/cpu_features.h"

#include <elf.h>

#if defined(__x86_64__)
#  include <cpuid.h>
#elif defined(__aarch64__)
#  include <asm/hwcap.h>
#  include <sys/auxv.h>
#else
#  error "plugins are defined for x86-64 and 64-bit Arm"
#endif

namespace bitnet::backend {
namespace {

struct Feature {
  std::string_view name;
  bool present;
};

#if defined(__x86_64__)

// Features the compilers' runtimes do not all know by name. They live in AVX registers, hence the test for avx.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 29 & 1) != 0;
}
bool has_avxvnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}

std::vector<Feature> detect() {
  __builtin_cpu_init();
  return {{"sse2", true},
          {"sse3", __builtin_cpu_supports("sse3") != 0},
          {"ssse3", __builtin_cpu_supports("ssse3") != 0},
          {"sse4.1", __builtin_cpu_supports("sse4.1") != 0},
          {"sse4.2", __builtin_cpu_supports("sse4.2") != 0},
          {"popcnt", __builtin_cpu_supports("popcnt") != 0},
          {"bmi", __builtin_cpu_supports("bmi") != 0},
          {"bmi2", __builtin_cpu_supports("bmi2") != 0},
          {"avx", __builtin_cpu_supports("avx") != 0},
          {"avx2", __builtin_cpu_supports("avx2") != 0},
          {"fma", __builtin_cpu_supports("fma") != 0},
          {"f16c", has_f16c()},
          {"avxvnni", has_avxvnni()},
          {"avx512f", __builtin_cpu_supports("avx512f") != 0},
          {"avx512bw", __builtin_cpu_supports("avx512bw") != 0},
          {"avx512cd", __builtin_cpu_supports("avx512cd") != 0},
          {"avx512dq", __builtin_cpu_supports("avx512dq") != 0},
          {"avx512vl", __builtin_cpu_supports("avx512vl") != 0},
          {"avx512vbmi", __builtin_cpu_supports("avx512vbmi") != 0},
          {"avx512vnni", __builtin_cpu_supports("avx512vnni") != 0},
          {"avx512bf16", __builtin_cpu_supports("avx512bf16") != 0}};
}

#else

std::vector<Feature> detect() {
  const unsigned long low = ::getauxval(AT_HWCAP);
  const unsigned long high = ::getauxval(AT_HWCAP2);
  return {{"asimd", (low & HWCAP_ASIMD) != 0},     {"neon", (low & HWCAP_ASIMD) != 0},
          {"asimdhp", (low & HWCAP_ASIMDHP) != 0}, {"asimddp", (low & HWCAP_ASIMDDP) != 0},
          {"dotprod", (low & HWCAP_ASIMDDP) != 0}, {"sve", (low & HWCAP_SVE) != 0},
          {"i8mm", (high & HWCAP2_I8MM) != 0},     {"bf16", (high & HWCAP2_BF16) != 0}};
}

#endif

const std::vector<Feature>& features() {
  static const std::vector<Feature> detected = detect();
  return detected;
}

}  // namespace

std::optional<bool> cpu_has(std::string_view feature) {
  for (const Feature& known : features()) {
    if (known.name == feature) return known.present;
  }
  return std::nullopt;
}

std::vector<std::string_view> known_cpu_features() {
  std::vector<std::string_view> names;
  for (const Feature& known : features()) names.push_back(known.name);
  return names;
}

#if defined(__x86_64__)
std::string_view host_arch() { return "x86_64"; }
uint16_t host_elf_machine() { return EM_X86_64; }
#else
std::string_view host_arch() { return "aarch64"; }
uint16_t host_elf_machine() { return EM_AARCH64; }
#endif

}  // namespace bitnet::backend
