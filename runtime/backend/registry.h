// backend/registry.h - every plugin file seen, with a verdict and a reason; what is usable is loaded when it is first used.
//
// A file is judged by its owner, its bytes and its manifest; one that passes is tried in a process of its own (probe.h), or was
// (verdicts.h). So a third party's code runs in this process only when somebody loads the plugin: to use it, or to list it. A
// loaded library stays loaded until the process ends, whatever happens to the registry.
// Errors   a bad file never stops the others: it becomes an entry with usable == false and a one-line reason.
// Threads  discover() and load_all() by one thread at a time; a registry is constant otherwise. Plugin::load() by any thread.
// Source   plugins.md, sections 3, 11, 12 and 17.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/discovery.h"
#include "backend/loader.h"
#include "backend/priority.h"
#include "bitnet/plugin.h"

namespace bitnet::backend {

enum class Verdict {
  kUsable,
  kRefused,      // by its owner, bytes or manifest, by what it answers, or because nothing could try it
  kCrashed,      // in its probe
  kHung,         // in its probe
  kLied,         // loaded, it answers differently than in its probe, or not at all
  kDuplicate,    // of the name or id of one that comes first
  kSkipped,      // the user's globs leave it out
  kQuarantined,  // all its devices failed in use
};
// "usable", "refused", ...
const char* verdict_name(Verdict verdict);

struct DeviceOut {
  std::string id, reason;
};

struct Plugin {
  std::string path;  // absolute
  std::string file;  // the same, links resolved
  std::string name;  // the manifest's short name; of a file without a readable manifest: x of bn_x.so
  std::string id, version, vendor, kind, numerics;  // safe to print; empty when unknown
  std::vector<std::string> tiers, cpu;              // cpu: features it needs
  bool first_party = false;                         // lies in the program's own plugin folder, or is built in
  bool usable = false;
  Verdict verdict = Verdict::kRefused;
  std::string reason;                  // why not; empty when usable
  std::optional<int64_t> age;          // seconds since its probe; nothing: judged now
  std::vector<DeviceSummary> devices;  // at least one when usable
  std::vector<DeviceOut> quarantined;  // those that are left out of `devices`
  double milliseconds = 0;             // what judging, and if need be probing and loading it, took

  // The plugin's table. Loads the library the first time; it stays for ever. Of a usable plugin only.
  // Throws Error{kNoBackend} when it is not usable, does not load after all, or answers differently than its probe.
  const LoadedPlugin& load() const;
  // What its functions are called with; valid for ever. Of a usable plugin only.
  const bn_host* host() const;

  struct Code;
  std::shared_ptr<Code> code;  // null: not usable
};

class Registry {
 public:
  static Registry discover(const DiscoveryOptions& options);

  // Loads what is usable; what turns out not to be becomes an entry with a reason.
  void load_all();

  // In search order; last the built-in cpu_portable if its file is not usable.
  const std::vector<Plugin>& plugins() const { return plugins_; }
  // By short name or id: the usable one, else the first. Null when there is none.
  const Plugin* find(std::string_view name) const;
  const std::vector<std::string>& directories() const { return directories_; }  // searched, in order
  const std::vector<std::string>& warnings() const { return warnings_; }        // one line each

  // What order_candidates() wants to know; same order as plugins().
  std::vector<BackendFacts> facts() const;

 private:
  void add_built_in();

  std::vector<Plugin> plugins_;
  std::vector<std::string> directories_, warnings_;
};

}  // namespace bitnet::backend
