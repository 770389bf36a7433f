// conformance/subject.h - the plugin that a test judges: loaded on first use, in the test's own process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bitnet/engine.h"
#include "bitnet/kernels.h"
#include "guarded.h"

namespace bitnet::conformance {

// What the command line says about the plugin.
struct Request {
  std::string path;     // absolute
  std::string device;   // empty: the first one
  std::string options;  // JSON for open(); empty: NULL
};

// Host services that count what a plugin takes and gives back. parallel_for runs the indices falling, in the calling thread.
class Host {
 public:
  explicit Host(const std::string& plugin_path);
  const bn_host* get() const { return &host_; }
  int64_t living_allocations() const { return living_; }

 private:
  std::string path_;
  int64_t living_ = 0;
  bn_host host_ = {};
};

class Subject {
 public:
  explicit Subject(const Request& request);
  const Request& request() const { return request_; }
  const char* options() const { return request_.options.empty() ? nullptr : request_.options.c_str(); }
  Host& host() { return host_; }

  // Each throws Failure if the plugin misbehaves on the way, NotApplicable if there is no device or no such tier.
  const bn_plugin& plugin();
  const std::string& device_id();
  bn_device* device();
  const bn_kernels_v1& kernels();
  const bn_engine_v1& engine();
  bool offers(const char* interface_id);  // of the opened device

  std::unique_ptr<GuardedBytes> scratch(Edge edge, uint8_t content = 0xFF);  // private memory for one op call

 private:
  Request request_;
  Host host_;
  const bn_plugin* plugin_ = nullptr;
  std::string device_id_;
  bn_device* device_ = nullptr;
  const bn_kernels_v1* kernels_ = nullptr;
  const bn_engine_v1* engine_ = nullptr;
};

// dlopen and entry; a failure says why. Never unloaded.
const bn_plugin* load_plugin(const std::string& path);

bn_error fresh_error();

}  // namespace bitnet::conformance
