// install/sdk_add_plugin_test.cpp - bitnet_add_plugin() refuses what would break a rule, in words; versions that do not fit
// too.
#include <gtest/gtest.h>

#include "install/package.h"
#include "support/files.h"

namespace bitnet::test {
namespace {

// Line breaks of CMake's messages become blanks.
std::string in_one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n';
    if (!blank || (!line.empty() && line.back() != ' ')) line += blank ? ' ' : c;
  }
  return line;
}

class AddPlugin : public testing::Test {
 protected:
  // Configures a project of these lines; languages are left out, as every refusal comes before they are needed.
  ProgramResult configure(const std::string& lines, const std::string& version = "0.1") {
    const std::string folder = package_.new_folder("project" + std::to_string(projects_++));
    write_text(folder + "/CMakeLists.txt",
               "cmake_minimum_required(VERSION 3.22)\nproject(p LANGUAGES NONE)\n"
               "set(CMAKE_SIZEOF_VOID_P 8)\nfind_package(bitnet-sdk " +
                   version + " REQUIRED)\n" + lines + "\n");
    return package_.run(BITNET_CMAKE, {"-B", "build"}, folder);
  }

  void expect_refusal(const std::string& lines, const std::string& reason) {
    const ProgramResult result = configure(lines);
    EXPECT_NE(result.exit_code, 0) << lines;
    EXPECT_NE(in_one_line(result.err).find(reason), std::string::npos) << "not said: " << reason << "\n" << result;
  }

  Package package_;
  int projects_ = 0;
};

TEST_F(AddPlugin, RefusesArgumentsThatMakeNoSense) {
  expect_refusal("bitnet_add_plugin(acme SOURCES a.c)", "bitnet_add_plugin(acme): the name must be bn_");
  expect_refusal("bitnet_add_plugin(bn_acme a.c)", "what is 'a.c'? Expected SOURCES, KERNELS, CPU_FLAGS, LIBRARIES");
  expect_refusal("bitnet_add_plugin(bn_acme KERNELS a.c)", "SOURCES is empty");
  expect_refusal("bitnet_add_plugin(bn_acme SOURCES a.c CPU_FLAGS -mavx2)", "CPU_FLAGS without KERNELS");
  expect_refusal("bitnet_add_plugin(bn_acme SOURCES a.c KERNELS a.c)", "a.c is in SOURCES and in KERNELS");
  expect_refusal("bitnet_add_plugin(bn_acme SOURCES a.c KERNELS b.c CPU_FLAGS avx2)", "write -mavx2 instead of avx2");
  expect_refusal(
      "set_source_files_properties(k.c PROPERTIES COMPILE_OPTIONS -mavx512f)\n"
      "bitnet_add_plugin(bn_b SOURCES b.c KERNELS k.c CPU_FLAGS -mavx2)",
      "k.c is already compiled with '-mavx512f' in this folder");
  expect_refusal("bitnet_check_plugin(bn_acme)", "there is no such target");
}

TEST_F(AddPlugin, RefusesFlagsThatBreakARule) {
  const std::string plugin = "bitnet_add_plugin(bn_acme SOURCES a.c KERNELS b.c CPU_FLAGS ";
  expect_refusal(plugin + "-ffast-math)", "CPU_FLAGS contains -ffast-math: results must not depend on the optimiser");
  expect_refusal(plugin + "-mavx2 -Ofast)", "CPU_FLAGS contains -Ofast");
  expect_refusal(plugin + "-ffp-contract=fast)", "CPU_FLAGS contains -ffp-contract=fast");
  expect_refusal(plugin + "-march=native)", "-march=native: such a file runs on machines like this one only");
  expect_refusal(plugin + "-fopenmp)", "CPU_FLAGS contains -fopenmp: threads are the runtime's");
  expect_refusal("bitnet_add_plugin(bn_acme SOURCES a.c LIBRARIES OpenMP::OpenMP_CXX)",
                 "LIBRARIES contains OpenMP::OpenMP_CXX");
  expect_refusal("bitnet_add_plugin(bn_acme SOURCES a.c LIBRARIES gomp)", "LIBRARIES contains gomp");
  expect_refusal("set(CMAKE_CXX_FLAGS \"-g -fopenmp\")\n" + plugin + "-mavx2)", "CMAKE_CXX_FLAGS contains -fopenmp");
  expect_refusal("set(CMAKE_C_FLAGS -mavx2)\n" + plugin + "-mavx2)", "CMAKE_C_FLAGS contains -mavx2: entry and enumerate run");
  expect_refusal("add_compile_options(-ffast-math)\n" + plugin + "-mavx2)", "add_compile_options() contains -ffast-math");
}

TEST_F(AddPlugin, VersionsBeforeOneFitOnlyTheirOwnMinor) {
  EXPECT_EQ(configure("", "0.1.0").exit_code, 0);
  for (const char* version : {"0.0", "0.2", "1", "0.1.9"}) {
    const ProgramResult result = configure("", version);
    EXPECT_NE(result.exit_code, 0) << version;
    EXPECT_NE(in_one_line(result.err).find("bitnet-sdk"), std::string::npos) << result;
  }
}

}  // namespace
}  // namespace bitnet::test
