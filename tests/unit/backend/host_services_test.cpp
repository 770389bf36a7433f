// unit/backend/host_services_test.cpp - log, memory and threads as a plugin sees them.
#include "backend/host_services.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <vector>

#include "base/log.h"

namespace bitnet::backend {
namespace {

class HostServicesTest : public ::testing::Test {
 protected:
  HostServices services_{"some_plugin", "/x/bn_y.so"};
  const bn_host* host_ = services_.table();

  std::string logged(LogLevel level, int32_t plugin_level, std::string_view text) {
    set_log_level(level);
    ::testing::internal::CaptureStderr();
    host_->log(host_->ctx, plugin_level, text.data(), text.size());
    set_log_level(LogLevel::kNotice);
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(HostServicesTest, TableIsComplete) {
  EXPECT_EQ(host_->struct_size, sizeof(bn_host));
  EXPECT_EQ(host_->abi_minor, BN_ABI_MINOR);
  EXPECT_STREQ(host_->plugin_path, "/x/bn_y.so");
  EXPECT_EQ(host_->get_interface(host_->ctx, "bn.host.anything/1"), nullptr);
}

TEST_F(HostServicesTest, PluginsLogAtDebugLevelOnly) {
  EXPECT_EQ(logged(LogLevel::kDebug, 0, "hello\nworld\x1b"), "plugin some_plugin: error: hello\\nworld\\x1b\n");
  EXPECT_EQ(logged(LogLevel::kDebug, 99, "x"), "plugin some_plugin: trace: x\n");
  EXPECT_EQ(logged(LogLevel::kDebug, -7, "x"), "plugin some_plugin: error: x\n");
  EXPECT_EQ(logged(LogLevel::kInfo, 0, "hello"), "");
  EXPECT_LT(logged(LogLevel::kDebug, 1, std::string(100000, 'y')).size(), 1100u);
}

TEST_F(HostServicesTest, MemoryIsAligned) {
  for (const uint64_t align : {1u, 16u, 64u, 4096u, 1u << 21}) {
    for (const uint64_t bytes : {0u, 1u, 100u, 5000u}) {
      void* p = host_->alloc(host_->ctx, bytes, align);
      ASSERT_NE(p, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % align, 0u);
      std::memset(p, 1, bytes);
      host_->release(host_->ctx, p);
    }
  }
  host_->release(host_->ctx, nullptr);
}

TEST_F(HostServicesTest, ImpossibleMemoryIsRefused) {
  EXPECT_EQ(host_->alloc(host_->ctx, ~uint64_t{0}, 64), nullptr);
  EXPECT_EQ(host_->alloc(host_->ctx, ~uint64_t{0} - 62, 64), nullptr);
  EXPECT_EQ(host_->alloc(host_->ctx, 64, 48), nullptr);
  EXPECT_EQ(host_->alloc(host_->ctx, 64, uint64_t{1} << 63), nullptr);
}

TEST_F(HostServicesTest, ParallelForVisitsEachIndexOnce) {
  for (const uint32_t n : {0u, 1u, 1000u}) {
    std::vector<std::atomic<int>> visits(n);
    const auto visit = [](void* arg, uint32_t i) { ++(*static_cast<std::vector<std::atomic<int>>*>(arg))[i]; };
    host_->parallel_for(host_->ctx, n, visit, &visits);
    for (const auto& count : visits) EXPECT_EQ(count.load(), 1);
  }
}

}  // namespace
}  // namespace bitnet::backend
