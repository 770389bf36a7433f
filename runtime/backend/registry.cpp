// backend/registry.cpp - judge, load, ask for devices; one file after the other.
#include "backend/registry.h"

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cfenv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <system_error>

#include "backend/device.h"
#include "backend/elf_file.h"
#include "backend/host_services.h"
#include "backend/manifest.h"
#include "base/error.h"
#include "base/mapped_file.h"

namespace bitnet::backend {
namespace {

constexpr const char* kEntrySymbol = "bitnet_plugin_v1";
constexpr uint32_t kPluginMinSize = 72;
constexpr uint32_t kMaxDevices = 64;

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::kNoBackend, format, std::forward<Args>(args)...);
}

// A library and the services its code may hold on to.
struct Loaded {
  boost::dll::shared_library library;
  std::unique_ptr<HostServices> host;
};

// Never destroyed: unloading code that may still run on some thread cannot be made safe.
Loaded& keep_for_ever(Loaded loaded) {
  static std::mutex& mutex = *new std::mutex;
  static auto& kept = *new std::vector<std::unique_ptr<Loaded>>;
  const std::lock_guard lock(mutex);
  kept.push_back(std::make_unique<Loaded>(std::move(loaded)));
  return *kept.back();
}

// A library linked with -ffast-math turns subnormals off for whoever loads it; this puts the modes back.
class FloatingPointModes {
 public:
  FloatingPointModes() { std::fegetenv(&saved_); }
  ~FloatingPointModes() { std::fesetenv(&saved_); }
  FloatingPointModes(const FloatingPointModes&) = delete;
  FloatingPointModes& operator=(const FloatingPointModes&) = delete;

 private:
  std::fenv_t saved_{};
};

// An entry names its path; a reason need not begin with it again.
std::string_view without_path(std::string_view text, const std::string& path) {
  return text.starts_with(path + ": ") ? text.substr(path.size() + 2) : text;
}

// Boost's message is "... (dlerror system message: TEXT): ...".
std::string loader_text(std::string_view message, const std::string& path) {
  constexpr std::string_view kMark = "(dlerror system message: ";
  if (const size_t start = message.find(kMark); start != std::string_view::npos) {
    message.remove_prefix(start + kMark.size());
    message = message.substr(0, message.rfind(')'));
  }
  return printable(without_path(message, path), 300);
}

boost::dll::shared_library load_library(const std::string& path) {
  namespace dll = boost::dll;
  try {
    return dll::shared_library(dll::fs::path(path), dll::load_mode::rtld_now | dll::load_mode::rtld_local);
  } catch (const std::system_error& error) {
    refuse("the system's loader refused it: {}", loader_text(error.what(), path));
  }
}

// Text of a plugin: a pointer that may be null to at most 120 readable bytes.
std::string plugin_text(const char* text) { return text == nullptr ? "" : printable({text, ::strnlen(text, 120)}); }

const bn_plugin* call_entry(const boost::dll::shared_library& library) {
  if (!library.has(kEntrySymbol)) refuse("the loaded library does not export {}", kEntrySymbol);
  const bn_plugin* table = library.get<const bn_plugin*(uint32_t)>(kEntrySymbol)(BN_ABI_MINOR);
  if (table == nullptr) refuse("needs a newer version of this program (it refused plugin ABI 1.{})", BN_ABI_MINOR);
  if (table->struct_size < kPluginMinSize) {
    refuse("its table has struct_size {}, at least {} are required", table->struct_size, kPluginMinSize);
  }
  if (table->enumerate == nullptr || table->open == nullptr || table->close == nullptr || table->get_interface == nullptr) {
    refuse("its table lacks a required function (enumerate, open, close, get_interface)");
  }
  if (table->id == nullptr) refuse("its table has no id");
  return table;
}

DeviceSummary summary_of(bn_device_info& info) {
  info.id[sizeof info.id - 1] = info.name[sizeof info.name - 1] = '\0';
  const std::string_view id = info.id;
  if (id.empty() || !std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7F && c != '\\' && c != ','; })) {
    refuse("a device has the id '{}', expected printable characters without blank or comma", printable(id));
  }
  return {info.kind, std::string(id), printable(info.name), info.mem_total, info.mem_free};
}

std::vector<DeviceSummary> enumerate_devices(const bn_plugin* table, const bn_host* host) {
  std::vector<DeviceSummary> devices;
  for (uint32_t index = 0; index < kMaxDevices; ++index) {
    bn_device_info info{};
    info.struct_size = sizeof info;
    bn_error error{};
    error.struct_size = sizeof error;
    const bn_status status = table->enumerate(host, index, &info, &error);
    if (status == BN_OK) {
      devices.push_back(summary_of(info));
    } else if (status == BN_E_UNSUPPORTED) {
      if (devices.empty()) refuse("not supported on this machine: {}", error_text(status, error));
      return devices;
    } else {
      refuse("asked for device {}, it answers: {}", index, error_text(status, error));
    }
  }
  return devices;
}

// Everything that can be known without running the plugin's code.
void judge_file(Plugin& plugin, const std::string& real, bool allow_unsafe) {
  if (!allow_unsafe) check_trusted(plugin.path);
  const MappedFile file(real);
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
  if (!elf.exports_entry) refuse("does not export {}", kEntrySymbol);
}

void load_plugin(Plugin& plugin, const std::string& real) {
  const FloatingPointModes restored_at_the_end;
  Loaded& loaded = keep_for_ever({load_library(real), std::make_unique<HostServices>(plugin.name, real)});
  plugin.host = loaded.host->table();
  try {
    plugin.table = call_entry(loaded.library);
    plugin.vendor = plugin_text(plugin.table->vendor);
    if (const std::string id = plugin_text(plugin.table->id); id != plugin.id) {
      refuse("its table says id {}, its manifest {}", id, plugin.id);
    }
    plugin.devices = enumerate_devices(plugin.table, plugin.host);
  } catch (const Error&) {
    throw;
  } catch (...) {
    refuse("it threw an exception across the plugin boundary");
  }
}

std::string name_from_file(const std::string& path) {
  const std::string stem = std::filesystem::path(path).stem().string();
  return printable(stem.starts_with("bn_") ? stem.substr(3) : stem, 60);
}

// Of two plugins with one name or id only the first usable one counts.
void check_unclaimed(const Plugin& plugin, const std::vector<Plugin>& earlier) {
  for (const Plugin& other : earlier) {
    if (!other.usable || (other.name != plugin.name && other.id != plugin.id)) continue;
    std::error_code ignored;
    const bool same_file = std::filesystem::equivalent(other.path, plugin.path, ignored);
    refuse("same {} as {}, which comes first", same_file ? "file" : "name", printable(other.path));
  }
}

Plugin examine(const std::string& path, bool allow_unsafe, const std::vector<Plugin>& earlier) {
  const auto start = std::chrono::steady_clock::now();
  Plugin plugin;
  plugin.path = path;
  plugin.name = name_from_file(path);
  std::string real = path;
  try {
    real = resolve_plugin_file(path);
    judge_file(plugin, real, allow_unsafe);
    check_unclaimed(plugin, earlier);
    load_plugin(plugin, real);
    plugin.usable = true;
  } catch (const Error& error) {
    plugin.reason = without_path(error.what(), printable(real));
  }
  plugin.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return plugin;
}

// cpu_portable is also linked into this program (its entry is bitnet_plugin_v1 here), so that one real backend remains when
// its file is missing or damaged.
Plugin built_in_portable() {
  static HostServices& host = *new HostServices("cpu_portable", "");
  Plugin plugin;
  plugin.path = "(built in)";
  plugin.name = "cpu_portable";
  plugin.kind = "cpu";
  plugin.numerics = "exact-1";
  plugin.tiers = {"kernels"};
  plugin.host = host.table();
  plugin.table = bitnet_plugin_v1(BN_ABI_MINOR);
  plugin.id = plugin.table->id;
  plugin.version = plugin.table->version;
  plugin.vendor = plugin.table->vendor;
  plugin.devices = enumerate_devices(plugin.table, plugin.host);
  plugin.usable = true;
  return plugin;
}

}  // namespace

Registry Registry::discover(const DiscoveryOptions& options) {
  PluginSearch search = find_plugin_files(options);
  Registry registry;
  registry.directories_ = std::move(search.directories);
  registry.warnings_ = std::move(search.warnings);
  for (const std::string& path : search.files) {
    registry.plugins_.push_back(examine(path, options.allow_unsafe, registry.plugins_));
  }
  // By id: a stranger's plugin of the same short name does not replace it.
  Plugin built_in = built_in_portable();
  const Plugin* portable = registry.find(built_in.id);
  if (portable == nullptr || !portable->usable) registry.plugins_.push_back(std::move(built_in));
  return registry;
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
    for (const DeviceSummary& device : plugin.devices) fact.devices.push_back(device.id);
    fact.numerics = plugin.numerics;
    fact.tiers = plugin.tiers;
  }
  return facts;
}

}  // namespace bitnet::backend
