// backend/registry.h - every plugin file seen, with a verdict and a reason; the usable ones loaded and their devices counted.
//
// A file is judged by its bytes, its owner and its manifest first; only one that passes is handed to the system's loader. A
// loaded library stays loaded until the process ends, whatever happens to the registry.
// Errors   a bad file never stops the others: it becomes an entry with usable == false and a one-line reason.
// Threads  discover() by one thread at a time; a registry is constant afterwards.
// Source   plugins.md, sections 3, 11 and 17.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backend/discovery.h"
#include "backend/priority.h"
#include "bitnet/plugin.h"

namespace bitnet::backend {

struct DeviceSummary {
  uint32_t kind = 0;                     // BN_DEV_*
  std::string id;                        // printable ASCII; what OpenDevice takes
  std::string name;                      // safe to print
  uint64_t mem_total = 0, mem_free = 0;  // bytes; 0: uses host memory
};

struct Plugin {
  std::string path;  // absolute
  std::string name;  // the manifest's short name; of a file without a readable manifest: x of bn_x.so
  std::string id, version, vendor, kind, numerics;  // safe to print; empty when unknown
  std::vector<std::string> tiers, cpu;              // cpu: features it needs
  bool usable = false;
  std::string reason;                  // why not; empty when usable
  std::vector<DeviceSummary> devices;  // at least one when usable
  const bn_plugin* table = nullptr;    // the plugin's own; valid for ever
  const bn_host* host = nullptr;       // what its functions are called with; valid for ever
  double milliseconds = 0;             // what judging and loading it took
};

class Registry {
 public:
  static Registry discover(const DiscoveryOptions& options);

  // In search order; last the built-in cpu_portable if its file is not usable.
  const std::vector<Plugin>& plugins() const { return plugins_; }
  // By short name or id: the usable one, else the first. Null when there is none.
  const Plugin* find(std::string_view name) const;
  const std::vector<std::string>& directories() const { return directories_; }  // searched, in order
  const std::vector<std::string>& warnings() const { return warnings_; }        // one line each

  // What order_candidates() wants to know; same order as plugins().
  std::vector<BackendFacts> facts() const;

 private:
  std::vector<Plugin> plugins_;
  std::vector<std::string> directories_, warnings_;
};

}  // namespace bitnet::backend
