// unit/backend/cpu_features_test.cpp - our view of the CPU against the kernel's.
#include "backend/cpu_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

namespace bitnet::backend {
namespace {

// The kernel lists a flag only when it has enabled it for programs.
std::set<std::string> kernel_flags() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    std::set<std::string> flags;
    for (std::string word; words >> word;) flags.insert(word);
    return flags;
  }
  return {};
}

// Where the kernel's name is not ours.
std::string kernel_name(std::string_view feature) {
  static const std::map<std::string_view, std::string> other = {
      {"sse3", "pni"},         {"sse4.1", "sse4_1"}, {"sse4.2", "sse4_2"},          {"bmi", "bmi1"},
      {"avxvnni", "avx_vnni"}, {"neon", "asimd"},    {"avx512vnni", "avx512_vnni"}, {"avx512bf16", "avx512_bf16"},
      {"dotprod", "asimddp"}};
  const auto found = other.find(feature);
  return found == other.end() ? std::string(feature) : found->second;
}

TEST(CpuFeatures, EqualTheKernelsFlags) {
  const std::set<std::string> flags = kernel_flags();
  if (flags.empty()) GTEST_SKIP() << "no flags in /proc/cpuinfo";
  ASSERT_GE(known_cpu_features().size(), 8u);
  for (const std::string_view feature : known_cpu_features()) {
    EXPECT_EQ(*cpu_has(feature), flags.count(kernel_name(feature)) == 1) << feature;
  }
}

TEST(CpuFeatures, UnknownNamesAreNeitherPresentNorAbsent) {
  for (const char* name : {"nonexistent", "", "AVX2", "avx2 ", "avx512"}) EXPECT_FALSE(cpu_has(name).has_value()) << name;
}

TEST(CpuFeatures, BaselineOfTheMachineIsPresent) { EXPECT_EQ(cpu_has(host_arch() == "x86_64" ? "sse2" : "asimd"), true); }

}  // namespace
}  // namespace bitnet::backend
