// kernel/mock_plugin.h - the mock, loaded as the runtime loads it: dlopen, entry, open with options.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "bitnet/engine.h"
#include "bitnet/kernels.h"

namespace bitnet::mock_test {

inline const bn_plugin& mock() {
  static const bn_plugin* const table = [] {
    void* library = dlopen(BITNET_PLUGIN_DIR "/bn_mock.so", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(dlerror());
    return reinterpret_cast<bn_entry_fn>(dlsym(library, "bitnet_plugin_v1"))(BN_ABI_MINOR);
  }();
  return *table;
}

inline bn_error empty_error() {
  bn_error e = {};
  e.struct_size = sizeof e;
  return e;
}

using Device = std::unique_ptr<bn_device, void (*)(bn_device*)>;

// An open device, or NULL after a test failure.
inline Device open_mock(const std::string& options) {
  bn_device* device = nullptr;
  bn_error error = empty_error();
  EXPECT_EQ(mock().open(nullptr, "mock", options.c_str(), &device, &error), BN_OK) << error.message;
  return Device(device, mock().close);
}

// What open() says against these options; "" if it takes them.
inline std::string refusal(const std::string& options) {
  bn_device* device = nullptr;
  bn_error error = empty_error();
  const bn_status status = mock().open(nullptr, "mock", options.c_str(), &device, &error);
  if (status == BN_OK) {
    mock().close(device);
    return "";
  }
  EXPECT_EQ(status, BN_E_INVALID);
  return error.message;
}

inline std::string with_faults(const std::string& mode, const std::string& script) {
  return R"({"mode": ")" + mode + R"(", "faults": ")" + script + R"("})";
}

inline std::string engine_with(const std::string& script) {
  return R"({"mode": "faithful", "tier": "engine", "faults": ")" + script + R"("})";
}

}  // namespace bitnet::mock_test
