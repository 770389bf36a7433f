// unit/backend/device_test.cpp - opening devices, and the checks of the tables they offer.
#include "backend/device.h"

#include <utility>

#include "plugin_files.h"

namespace bitnet::backend {
namespace {

class DeviceTest : public PluginTest {
 protected:
  Plugin zoo(const std::string& fault) {
    Plugin plugin = examined(folder_.write("bn_" + fault + ".so", zoo_plugin(fault)));
    EXPECT_TRUE(plugin.usable) << plugin.reason;
    return plugin;
  }
  // How often the plugin's close() was called.
  static int closed(const Plugin& plugin) {
    return *static_cast<const int*>(plugin.load().table->get_interface(nullptr, "zoo.closed"));
  }

  template <class F>
  static void expect_error(F&& f, bn_status code, const std::string& text) {
    try {
      f();
      FAIL() << "expected: " << text;
    } catch (const BackendError& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  }
};

TEST_F(DeviceTest, PortableKernelsAreOffered) {
  const Plugin plugin = examined(portable_plugin());
  const OpenDevice device(plugin, "cpu");
  ASSERT_NE(device.kernels(), nullptr);
  EXPECT_EQ(device.kernels()->numerics, static_cast<uint32_t>(BN_EXACT_1));
  EXPECT_EQ(device.engine(), nullptr);
  EXPECT_EQ(device.plugin_name(), "cpu_portable");
  EXPECT_EQ(device.id(), "cpu");
}

TEST_F(DeviceTest, ClosedOnceUnlessAbandoned) {
  const Plugin plugin = zoo("none");
  {
    OpenDevice first(plugin, "zoo0");
    OpenDevice moved(std::move(first));
    EXPECT_EQ(first.handle(), nullptr);
    EXPECT_NE(moved.handle(), nullptr);
    EXPECT_EQ(first.kernels(), nullptr);
    OpenDevice second(plugin, "zoo1");
    second = std::move(moved);
    EXPECT_EQ(second.id(), "zoo0");
  }
  EXPECT_EQ(closed(plugin), 2);
  {
    OpenDevice lost(plugin, "zoo0");
    lost.abandon();
    EXPECT_EQ(lost.handle(), nullptr);
  }
  EXPECT_EQ(closed(plugin), 2);
}

TEST_F(DeviceTest, TablesMayEndAfterTheRequiredPart) {
  const Plugin plugin = zoo("none");
  const OpenDevice device(plugin, "zoo0", "{}");
  ASSERT_NE(device.kernels(), nullptr);
  EXPECT_EQ(device.kernels()->struct_size, 56u);
  EXPECT_FALSE(BN_HAS(device.kernels(), dense));
}

TEST_F(DeviceTest, FailuresCarryCodeAndSentence) {
  expect_error([&] { OpenDevice(zoo("open_fails"), "zoo1"); }, BN_E_BUSY,
               "plugin zoo: device zoo1 cannot be opened: the zoo1 is asleep");
  expect_error([&] { OpenDevice(zoo("open_throws"), "zoo0"); }, BN_E_INTERNAL, "threw an exception");
  expect_error([&] { OpenDevice(zoo("open_null"), "zoo0"); }, BN_E_INTERNAL, "succeeded without a device");
  expect_error([&] { OpenDevice(zoo("none"), "zoo0", "{\"x\": 1}"); }, BN_E_INVALID, "options {\"x\": 1}");
}

TEST_F(DeviceTest, UnusablePluginsAreNotOpened) {
  const Plugin plugin = examined(to_bytes("junk"));
  expect_error([&] { OpenDevice(plugin, "cpu"); }, BN_E_UNSUPPORTED, "plugin x: not a shared library");
}

TEST_F(DeviceTest, P5_TablesAreChecked) {
  const auto kernels = [&](const char* fault) { OpenDevice(zoo(fault), "zoo0").kernels(); };
  expect_error([&] { kernels("small_kernels"); }, BN_E_INTERNAL, "bn.kernels/1 has struct_size 48, at least 56");
  expect_error([&] { kernels("no_matmul"); }, BN_E_INTERNAL, "bn.kernels/1 lacks a required function");
  expect_error([&] { kernels("no_granule"); }, BN_E_INTERNAL, "bn.kernels/1 has row_granule 0");
  expect_error([&] { OpenDevice(zoo("engine_stub"), "zoo0").engine(); }, BN_E_INTERNAL,
               "bn.engine/1 lacks a required function");
}

TEST(StatusText, EveryCodeHasWordsOfItsOwn) {
  std::vector<std::string> seen;
  for (bn_status code = BN_OK; code <= BN_E_INTERNAL; ++code) seen.emplace_back(status_name(code));
  for (size_t i = 0; i < seen.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(seen[i], seen[j]);
  }
  EXPECT_STREQ(status_name(-5), "unknown status");
}

TEST(StatusText, PluginTextIsBoundedAndPrintable) {
  bn_error error{};
  EXPECT_EQ(error_text(BN_E_NO_MEMORY, error), "out of memory");
  std::fill(std::begin(error.message), std::end(error.message), 'x');  // no NUL anywhere
  EXPECT_EQ(error_text(BN_E_DATA, error), std::string(240, 'x'));
  error.message[0] = '\n';
  error.message[1] = 0;
  EXPECT_EQ(error_text(BN_E_DATA, error), "\\n");
}

}  // namespace
}  // namespace bitnet::backend
