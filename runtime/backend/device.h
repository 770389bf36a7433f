// backend/device.h - an open device of a plugin, and the error that speaks in the ABI's status codes.
//
// Threads  one object is used by one thread at a time; the tables it hands out follow rule 9 of plugin.h.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "backend/registry.h"
#include "backend/status.h"
#include "bitnet/engine.h"
#include "bitnet/kernels.h"

namespace bitnet::backend {

// A failure that a plugin reported, or that the plugin itself is. code says what to do next (plugin.h, status).
class BackendError : public std::runtime_error {
 public:
  BackendError(bn_status code, const std::string& message) : std::runtime_error(message), code_(code) {}
  bn_status code() const noexcept { return code_; }

 private:
  bn_status code_;
};

// Opens a device, loading its plugin if it is the first, and closes it at the end. Plugins are never unloaded, so no order of
// destruction matters.
class OpenDevice {
 public:
  // plugin: usable, with device_id one of its devices. options_json: a JSON object, or empty for none.
  // Throws BackendError with the plugin's code and sentence.
  OpenDevice(const Plugin& plugin, std::string_view device_id, const std::string& options_json = {});
  ~OpenDevice();
  OpenDevice(OpenDevice&& other) noexcept;
  OpenDevice& operator=(OpenDevice&& other) noexcept;

  bn_device* handle() const { return device_; }
  const std::string& plugin_name() const { return plugin_name_; }
  const std::string& id() const { return id_; }

  // The plugin's tables; null when it does not offer one. What is offered has every required function and sane numbers,
  // or BackendError{BN_E_INTERNAL} is thrown. They are valid until the device is closed.
  const bn_kernels_v1* kernels() const;
  const bn_engine_v1* engine() const;
  // Any other table by its id, unchecked; null when it is not offered.
  const void* interface(const char* id) const;

  // Forgets the device without closing it: for one that was lost or hangs.
  void abandon() { device_ = nullptr; }

 private:
  const bn_plugin* table_ = nullptr;
  bn_device* device_ = nullptr;  // null: moved from, or abandoned
  std::string plugin_name_, id_;
};

}  // namespace bitnet::backend
