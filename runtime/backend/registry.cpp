// backend/registry.cpp - judge every file statically, probe together those that nothing is known of, then decide in order.
#include "backend/registry.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <map>
#include <mutex>
#include <span>
#include <system_error>

#include "backend/elf_file.h"
#include "backend/host_services.h"
#include "backend/manifest.h"
#include "backend/probe.h"
#include "backend/quarantine.h"
#include "backend/trust.h"
#include "backend/verdicts.h"
#include "base/error.h"
#include "base/mapped_file.h"

namespace bitnet::backend {

// What it takes to load a plugin, and what came of it.
struct Plugin::Code {
  std::mutex mutex;
  std::string file, id, probe_program;
  std::vector<DeviceSummary> expected;  // as its probe saw them; empty: it was not probed
  const HostServices* host = nullptr;   // lives for ever
  LoadedPlugin loaded;                  // table null: not loaded yet
  std::string failure;                  // of an attempt to load it
};

namespace {

using Clock = std::chrono::steady_clock;

// A plugin may keep what it is given, and is never unloaded.
const HostServices* host_for_ever(const std::string& name, const std::string& file) {
  static std::mutex& mutex = *new std::mutex;
  static auto& kept = *new std::vector<std::unique_ptr<HostServices>>;
  const std::lock_guard lock(mutex);
  return kept.emplace_back(std::make_unique<HostServices>(name, file)).get();
}

// An entry names its path; a reason need not begin with it again.
std::string without_path(std::string_view text, const std::string& path) {
  return std::string(text.starts_with(path + ": ") ? text.substr(path.size() + 2) : text);
}

std::string name_from_file(const std::string& path) {
  const std::string stem = std::filesystem::path(path).stem().string();
  return printable(stem.starts_with("bn_") ? stem.substr(3) : stem, 60);
}

std::string ids_of(const std::vector<DeviceSummary>& devices) {
  std::string ids;
  for (const DeviceSummary& device : devices) ids += (ids.empty() ? "" : ", ") + device.id;
  return printable(ids, 100);
}

// Names and memory may change from one moment to the next, what may be opened may not.
bool same_devices(const std::vector<DeviceSummary>& a, const std::vector<DeviceSummary>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const DeviceSummary& x, const DeviceSummary& y) { return x.id == y.id && x.kind == y.kind; });
}

void refuse(Plugin& plugin, Verdict verdict, std::string reason) {
  plugin.usable = false;
  plugin.verdict = verdict;
  plugin.reason = std::move(reason);
  plugin.devices.clear();
}

// Everything that can be known without running the plugin's code. Throws Error with the reason.
void judge_file(Plugin& plugin, const DiscoveryOptions& options) {
  // Whoever can change the folders this program lies in can change the program itself.
  const std::string beneath = plugin.first_party && !options.privileged ? prefix_of(options.program_path) : std::string();
  if (!options.allow_unsafe) check_trusted(plugin.path, beneath);
  const MappedFile file(plugin.file);
  const ElfFacts elf = inspect_elf(std::span(file.data(), static_cast<size_t>(file.size())));
  Manifest manifest = parse_manifest(elf.manifest);
  plugin.name = manifest.name;
  plugin.id = manifest.id;
  plugin.version = manifest.version;
  plugin.kind = manifest.kind;
  plugin.numerics = manifest.numerics;
  plugin.tiers = manifest.tiers;
  plugin.cpu = manifest.cpu;
  check_manifest(manifest);
  if (!elf.exports_entry) fail(ErrorKind::kNoBackend, "does not export bitnet_plugin_v1");
}

// cpu_portable is also linked into this program (its entry is bitnet_plugin_v1 here), so that one real backend remains when
// its file is missing or damaged.
Plugin built_in_portable() {
  static const HostServices& host = *host_for_ever("cpu_portable", "");
  Plugin plugin;
  plugin.path = plugin.file = "(built in)";
  plugin.name = "cpu_portable";
  plugin.kind = "cpu";
  plugin.numerics = "exact-1";
  plugin.tiers = {"kernels"};
  plugin.first_party = true;
  plugin.code = std::make_shared<Plugin::Code>();
  plugin.code->host = &host;
  LoadedPlugin& loaded = plugin.code->loaded;
  loaded.table = bitnet_plugin_v1(BN_ABI_MINOR);
  loaded.vendor = loaded.table->vendor;
  loaded.devices = enumerate_devices(loaded.table, host.table());
  plugin.id = loaded.table->id;
  plugin.version = loaded.table->version;
  plugin.devices = loaded.devices;
  plugin.usable = true;
  plugin.verdict = Verdict::kUsable;
  return plugin;
}

class Discovery {
 public:
  explicit Discovery(const DiscoveryOptions& options)
      : options_(options), probe_(probe_program(options)), verdicts_(probe_, std::time(nullptr)) {}

  PluginSearch search() {
    PluginSearch found = find_plugin_files(options_);
    for (const std::string& path : found.files) plugins_.push_back(judge(path, found.installed));
    return found;
  }

  // For every file that passed so far: a remembered verdict, or one from a probe now.
  void ask_probes(std::vector<std::string>& warnings) {
    std::vector<ProbeRequest> requests;
    std::map<std::string, size_t> asked;  // file: request
    for (Plugin& plugin : plugins_) {
      if (!is_open(plugin) || recall(plugin)) continue;
      if (asked.emplace(plugin.file, requests.size()).second) requests.push_back({plugin.file, plugin.id});
    }
    std::vector<ProbeOutcome> outcomes(requests.size());
    if (::access(probe_.c_str(), X_OK) == 0) {
      outcomes = probe_files(probe_, requests);
    } else if (!requests.empty()) {
      const std::string missing = fmt::format("bn_probe, which tries plugins in a process of its own, is missing ({})",
                                              probe_.empty() ? "no path" : printable(probe_, 200));
      warnings.push_back(missing + ": only plugins of this program's own folder are used; reinstall it");
      for (ProbeOutcome& outcome : outcomes) outcome.reason = missing;
    }
    for (size_t i = 0; i < requests.size(); ++i) verdicts_.note(requests[i].path, outcomes[i]);
    for (Plugin& plugin : plugins_) {
      const auto request = asked.find(plugin.file);
      if (!is_open(plugin) || plugin.usable || request == asked.end()) continue;
      plugin.milliseconds += outcomes[request->second].milliseconds;
      apply(plugin, outcomes[request->second]);
    }
    verdicts_.save();
  }

  // Of two plugins with one name or id only the first usable one counts.
  void decide() {
    for (size_t i = 0; i < plugins_.size(); ++i) {
      if (plugins_[i].usable) check_unclaimed(i);
      if (plugins_[i].usable) leave_out_failed_devices(plugins_[i]);
    }
  }

  std::vector<Plugin> take() { return std::move(plugins_); }

 private:
  Plugin judge(const std::string& path, const std::string& installed) const {
    const auto start = Clock::now();
    Plugin plugin;
    plugin.path = plugin.file = path;
    plugin.name = name_from_file(path);
    const std::string file_name = std::filesystem::path(path).filename().string();
    try {
      plugin.file = resolve_plugin_file(path);
      plugin.first_party = !installed.empty() && std::filesystem::path(plugin.file).parent_path() == installed;
      judge_file(plugin, options_);
    } catch (const Error& error) {
      plugin.reason = without_path(error.what(), printable(plugin.file));
    }
    if (std::string why = left_out_by_globs(options_, {file_name, name_from_file(path), plugin.name}); !why.empty()) {
      refuse(plugin, Verdict::kSkipped, std::move(why));
    }
    plugin.milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    return plugin;
  }

  // Nothing speaks against it so far.
  static bool is_open(const Plugin& plugin) { return plugin.reason.empty(); }

  bool recall(Plugin& plugin) {
    const std::optional<RememberedVerdict> known = verdicts_.find(plugin.file);
    if (!known) return false;
    apply(plugin, known->outcome);
    plugin.age = known->age;
    if (known->final) plugin.reason += "; three times in a row: 'bitnet-run backends rescan' tries it again";
    return true;
  }

  void apply(Plugin& plugin, const ProbeOutcome& outcome) {
    switch (outcome.kind) {
      case ProbeOutcome::Kind::kUsable:
        return accept(plugin, outcome.vendor, outcome.devices);
      case ProbeOutcome::Kind::kRefused:
        return refuse(plugin, Verdict::kRefused, outcome.reason);
      case ProbeOutcome::Kind::kCrashed:
        return refuse(plugin, Verdict::kCrashed, outcome.reason);
      case ProbeOutcome::Kind::kHung:
        return refuse(plugin, Verdict::kHung, outcome.reason);
      case ProbeOutcome::Kind::kNotProbed:
        if (plugin.first_party) return accept_unprobed(plugin);
        return refuse(plugin, Verdict::kRefused, "cannot be tried safely: " + outcome.reason);
    }
  }

  void accept(Plugin& plugin, const std::string& vendor, const std::vector<DeviceSummary>& devices) {
    plugin.code = std::make_shared<Plugin::Code>();
    plugin.code->file = plugin.file;
    plugin.code->id = plugin.id;
    plugin.code->probe_program = probe_;
    plugin.code->expected = devices;
    plugin.code->host = host_for_ever(plugin.name, plugin.file);
    plugin.vendor = vendor;
    plugin.devices = devices;
    plugin.usable = true;
    plugin.verdict = Verdict::kUsable;
  }

  // Only loading it here tells its devices then.
  void accept_unprobed(Plugin& plugin) {
    accept(plugin, {}, {});
    try {
      plugin.devices = plugin.load().devices;
      plugin.vendor = plugin.load().vendor;
    } catch (const Error& error) {
      refuse(plugin, Verdict::kRefused, error.what());
    }
  }

  void check_unclaimed(size_t i) {
    Plugin& plugin = plugins_[i];
    for (size_t earlier = 0; earlier < i; ++earlier) {
      const Plugin& other = plugins_[earlier];
      if (!other.usable || (other.name != plugin.name && other.id != plugin.id)) continue;
      const bool same_file = other.file == plugin.file;
      return refuse(plugin, Verdict::kDuplicate,
                    fmt::format("same {} as {}, which comes first", same_file ? "file" : "name", printable(other.path)));
    }
  }

  static void leave_out_failed_devices(Plugin& plugin) {
    for (const DeviceSummary& device : plugin.devices) {
      if (const auto why = Quarantine::of_process().reason(plugin.file, device.id))
        plugin.quarantined.push_back({device.id, *why});
    }
    std::erase_if(plugin.devices, [&](const DeviceSummary& device) {
      return std::any_of(plugin.quarantined.begin(), plugin.quarantined.end(),
                         [&](const DeviceOut& out) { return out.id == device.id; });
    });
    if (!plugin.devices.empty()) return;
    const DeviceOut& first = plugin.quarantined.front();
    refuse(plugin, Verdict::kQuarantined, fmt::format("device {} {}", first.id, first.reason));
  }

  const DiscoveryOptions& options_;
  std::string probe_;
  VerdictCache verdicts_;
  std::vector<Plugin> plugins_;
};

}  // namespace

const char* verdict_name(Verdict verdict) {
  static constexpr const char* kNames[] = {"usable", "refused",   "crashed", "hung",
                                           "lied",   "duplicate", "skipped", "quarantined"};
  return kNames[static_cast<size_t>(verdict)];
}

const LoadedPlugin& Plugin::load() const {
  if (!usable || code == nullptr) fail(ErrorKind::kNoBackend, "{}", reason);
  const std::lock_guard lock(code->mutex);
  if (code->loaded.table != nullptr) return code->loaded;
  if (!code->failure.empty()) fail(ErrorKind::kNoBackend, "{}", code->failure);
  std::string now;
  try {
    LoadedPlugin loaded = load_plugin_file(code->file, code->id, code->host->table());
    if (code->expected.empty() || same_devices(loaded.devices, code->expected)) return code->loaded = std::move(loaded);
    now = fmt::format("devices {} instead of {}", ids_of(loaded.devices), ids_of(code->expected));
  } catch (const Error& error) {
    now = error.what();
  }
  code->failure = code->expected.empty() ? now : "when loaded it answers differently than in its probe: " + now;
  VerdictCache verdicts(code->probe_program, std::time(nullptr));
  verdicts.forget(code->file);
  verdicts.save();
  fail(ErrorKind::kNoBackend, "{}", code->failure);
}

const bn_host* Plugin::host() const { return code == nullptr ? nullptr : code->host->table(); }

Registry Registry::discover(const DiscoveryOptions& options) {
  if (options.rescan) {
    VerdictCache::clear();
    Quarantine::of_process().clear();
  }
  Discovery discovery(options);
  PluginSearch search = discovery.search();
  discovery.ask_probes(search.warnings);
  discovery.decide();
  Registry registry;
  registry.plugins_ = discovery.take();
  registry.directories_ = std::move(search.directories);
  registry.warnings_ = std::move(search.warnings);
  registry.add_built_in();
  return registry;
}

// By id: a stranger's plugin of the same short name does not replace it.
void Registry::add_built_in() {
  Plugin built_in = built_in_portable();
  const Plugin* portable = find(built_in.id);
  if (portable == nullptr || !portable->usable) plugins_.push_back(std::move(built_in));
}

void Registry::load_all() {
  for (Plugin& plugin : plugins_) {
    if (!plugin.usable) continue;
    const auto start = Clock::now();
    try {
      const LoadedPlugin& loaded = plugin.load();
      plugin.vendor = loaded.vendor;
      for (DeviceSummary& device : plugin.devices) {
        const auto fresh = std::find_if(loaded.devices.begin(), loaded.devices.end(),
                                        [&](const DeviceSummary& d) { return d.id == device.id; });
        if (fresh != loaded.devices.end()) device = *fresh;
      }
    } catch (const Error& error) {
      refuse(plugin, Verdict::kLied, error.what());
    }
    plugin.milliseconds += std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  }
  add_built_in();
}

const Plugin* Registry::find(std::string_view name) const {
  const Plugin* found = nullptr;
  for (const Plugin& plugin : plugins_) {
    if (plugin.name != name && plugin.id != name) continue;
    if (plugin.usable) return &plugin;
    if (found == nullptr) found = &plugin;
  }
  return found;
}

std::vector<BackendFacts> Registry::facts() const {
  std::vector<BackendFacts> facts;
  for (const Plugin& plugin : plugins_) {
    BackendFacts& fact = facts.emplace_back();
    fact.name = plugin.name;
    fact.id = plugin.id;
    fact.kind = plugin.kind;
    fact.usable = plugin.usable;
    fact.reason = plugin.reason;
    fact.numerics = plugin.numerics;
    fact.tiers = plugin.tiers;
    for (const DeviceSummary& device : plugin.devices) {
      // It may have failed since the discovery.
      if (const auto why = Quarantine::of_process().reason(plugin.file, device.id)) {
        fact.reason = fmt::format("device {} {}", device.id, *why);
      } else {
        fact.devices.push_back(device.id);
      }
    }
    fact.usable = plugin.usable && !fact.devices.empty();
    if (fact.usable) fact.reason.clear();
  }
  return facts;
}

}  // namespace bitnet::backend
