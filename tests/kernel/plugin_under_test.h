// kernel/plugin_under_test.h - the plugins this suite judges, and the fixture all tests of an op share.
//
// Judged are the plugins CMake names (they must be there) and every other bn_*.so of the build's plugin folder except the
// mock. BITNET_PLUGIN_FILE=/path/bn_acme.so in the environment judges that file instead.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bitnet/kernels.h"
#include "bitnet/kit/portable.h"
#include "kernel/guarded.h"

namespace bitnet::kernel_test {

// A plugin after dlopen, entry, enumerate(0), open and get_interface. Never unloaded.
struct Plugin {
  std::string path;
  const bn_plugin* table = nullptr;
  bn_device* device = nullptr;
  const bn_kernels_v1* kernels = nullptr;
  std::string failure;    // why it could not be loaded, or empty
  std::string no_device;  // why it has no device on this machine, or empty
  std::string printed;    // what it wrote to stdout while being loaded
};

std::vector<std::string> plugins_to_judge();         // absolute paths
const Plugin& load_plugin(const std::string& path);  // once per path
std::string plugin_test_name(const testing::TestParamInfo<std::string>& info);

// A half-open range of rows, tokens, heads or columns.
using Range = std::pair<uint32_t, uint32_t>;
// Ways to cut [0, n) at multiples of granule: at once, in pieces of one granule, in uneven pieces, and one piece alone.
std::vector<std::vector<Range>> ways_to_cut(uint32_t n, uint32_t granule);

class KernelTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;     // skips, with the plugin's reason, if this machine has no device for it
  void TearDown() override;  // floating-point mode as before

  const bn_kernels_v1& plugin() const { return *plugin_->kernels; }
  bn_device* device() const { return plugin_->device; }
  // The reference bodies of the kit.
  const bn_kernels_v1& reference() const { return *bn_portable_kernels(); }

  // Runs calls into the plugin; anything on stdout is a failure.
  void quietly(const std::function<void()>& calls) const;

  // Private memory for one op call, with undefined content.
  std::unique_ptr<GuardedBytes> scratch(Edge edge) const;
  std::vector<uint8_t> reference_scratch() const { return std::vector<uint8_t>(reference().scratch_bytes); }

 private:
  const Plugin* plugin_ = nullptr;
};

// Skips a test if the plugin leaves out the optional op `field`.
#define BITNET_NEEDS_OP(field)                                                         \
  if (!BN_HAS(&plugin(), field) || plugin().field == nullptr) {                        \
    GTEST_SKIP() << "the plugin leaves out " #field ", the runtime uses its own body"; \
  }

#define BITNET_FOR_EVERY_PLUGIN(Fixture)                                                                  \
  INSTANTIATE_TEST_SUITE_P(Plugin, Fixture, testing::ValuesIn(::bitnet::kernel_test::plugins_to_judge()), \
                           ::bitnet::kernel_test::plugin_test_name)

}  // namespace bitnet::kernel_test
