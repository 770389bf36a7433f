// kernel/abi_test.cpp - the boundary itself: exports, manifest, entry, devices, table.
#include <dlfcn.h>

#include <cstring>
#include <fstream>
#include <set>

#include "kernel/elf_file.h"
#include "kernel/plugin_under_test.h"

namespace bitnet::kernel_test {
namespace {

class AbiTest : public KernelTest {
 protected:
  const bn_plugin& table() const { return *load_plugin(GetParam()).table; }
};

TEST_P(AbiTest, ExportsExactlyOneSymbol) {
  EXPECT_EQ(read_elf(GetParam()).exported, std::vector<std::string>{"bitnet_plugin_v1"});
}

TEST_P(AbiTest, HasAManifest) {
  const std::string manifest = read_elf(GetParam()).manifest;
  for (const char* key : {"\"schema\"", "\"abi\"", "\"id\"", "\"name\"", "\"version\"", "\"kind\"", "\"tiers\"", "\"cpu\""}) {
    EXPECT_NE(manifest.find(key), std::string::npos) << key << " is missing in: " << manifest;
  }
  EXPECT_NE(manifest.find(table().id), std::string::npos) << "manifest and table disagree about the id";
}

TEST_P(AbiTest, NeedsNoThreadingRuntime) {
  for (const std::string& library : read_elf(GetParam()).needed) {
    for (const char* pool : {"gomp", "iomp", "libomp", "tbb"}) EXPECT_EQ(library.find(pool), std::string::npos) << library;
  }
}

// Kernels run concurrently and keep no state, so there is nothing to write to. What the C runtime itself needs is smaller.
TEST_P(AbiTest, HasNoWritableStaticData) {
  if (BITNET_SANITIZED) GTEST_SKIP() << "sanitizers add static data of their own";
  EXPECT_LE(read_elf(GetParam()).writable_bytes, 128u);
}

TEST_P(AbiTest, LoadsSilently) { EXPECT_EQ(load_plugin(GetParam()).printed, ""); }

TEST_P(AbiTest, EntryTakesAnyMinor) {
  void* library = dlopen(GetParam().c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto entry = reinterpret_cast<bn_entry_fn>(dlsym(library, "bitnet_plugin_v1"));
  for (const uint32_t minor : {0u, 1u, 1000u}) EXPECT_EQ(entry(minor), &table()) << minor;
}

TEST_P(AbiTest, TableIsComplete) {
  EXPECT_GE(table().struct_size, 72u);
  EXPECT_GT(std::strlen(table().id), 0u);
  EXPECT_GT(std::strlen(table().version), 0u);
  EXPECT_GE(plugin().struct_size, 56u);
  EXPECT_GE(plugin().row_granule, 1u);
  EXPECT_GE(plugin().k_align, 1u);
  EXPECT_LE(plugin().k_align, 256u);
  EXPECT_NE(plugin().accepts, nullptr);
  EXPECT_NE(plugin().pack_size, nullptr);
  EXPECT_NE(plugin().pack, nullptr);
  EXPECT_NE(plugin().matmul, nullptr);
}

TEST_P(AbiTest, EnumerationEndsWithAReason) {
  std::set<std::string> ids;
  for (uint32_t index = 0; index < 64; ++index) {
    bn_device_info info = {};
    info.struct_size = sizeof info;
    bn_error error = {};
    error.struct_size = sizeof error;
    if (const bn_status status = table().enumerate(nullptr, index, &info, &error); status != BN_OK) {
      EXPECT_EQ(status, BN_E_UNSUPPORTED);
      EXPECT_EQ(error.code, BN_E_UNSUPPORTED);
      EXPECT_GT(std::strlen(error.message), 0u) << "a negative answer has a sentence";
      EXPECT_EQ(table().enumerate(nullptr, index, &info, nullptr), BN_E_UNSUPPORTED) << "NULL error";
      return;
    }
    EXPECT_TRUE(ids.insert(info.id).second) << "device id " << info.id << " twice";
    EXPECT_GT(std::strlen(info.name), 0u);
    EXPECT_NE(info.kind, static_cast<uint32_t>(BN_DEV_TEST));
  }
  FAIL() << "more than 64 devices";
}

TEST_P(AbiTest, OpensAndClosesManyTimes) {
  bn_device_info info = {};
  info.struct_size = sizeof info;
  ASSERT_EQ(table().enumerate(nullptr, 0, &info, nullptr), BN_OK);
  for (int i = 0; i < 100; ++i) {
    bn_device* opened = nullptr;
    ASSERT_EQ(table().open(nullptr, info.id, nullptr, &opened, nullptr), BN_OK);
    ASSERT_NE(table().get_interface(opened, BN_KERNELS_ID), nullptr);
    table().close(opened);
  }
}

TEST_P(AbiTest, UnknownInterfaceIsNotOffered) {
  for (const char* id : {"", "bn.kernels", "bn.kernels/2", "bn.kernels/10", "com.example.nothing/1"}) {
    EXPECT_EQ(table().get_interface(device(), id), nullptr) << id;
  }
}

TEST_P(AbiTest, UnknownOptionsAreIgnored) {
  bn_device_info info = {};
  info.struct_size = sizeof info;
  ASSERT_EQ(table().enumerate(nullptr, 0, &info, nullptr), BN_OK);
  bn_device* opened = nullptr;
  ASSERT_EQ(table().open(nullptr, info.id, R"({"com.example.unknown": [1, {}]})", &opened, nullptr), BN_OK);
  table().close(opened);
}

BITNET_FOR_EVERY_PLUGIN(AbiTest);

}  // namespace
}  // namespace bitnet::kernel_test
