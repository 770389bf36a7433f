// backend/loader.cpp - Boost.DLL, the entry, the checks of the table, enumerate().
#include "backend/loader.h"

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cfenv>
#include <cstring>
#include <mutex>
#include <system_error>

#include "backend/status.h"
#include "base/error.h"

namespace bitnet::backend {
namespace {

constexpr const char* kEntrySymbol = "bitnet_plugin_v1";
constexpr uint32_t kPluginMinSize = 72;

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::kNoBackend, format, std::forward<Args>(args)...);
}

// Puts the floating-point modes back that a library linked with -ffast-math changes for whoever loads it.
class FloatingPointModes {
 public:
  FloatingPointModes() { std::fegetenv(&saved_); }
  ~FloatingPointModes() { std::fesetenv(&saved_); }
  FloatingPointModes(const FloatingPointModes&) = delete;
  FloatingPointModes& operator=(const FloatingPointModes&) = delete;

 private:
  std::fenv_t saved_{};
};

// Boost's message is "... (dlerror system message: TEXT): ...", and TEXT begins with the path.
std::string loader_text(std::string_view message, const std::string& path) {
  constexpr std::string_view kMark = "(dlerror system message: ";
  if (const size_t start = message.find(kMark); start != std::string_view::npos) {
    message.remove_prefix(start + kMark.size());
    message = message.substr(0, message.rfind(')'));
  }
  if (message.starts_with(path + ": ")) message.remove_prefix(path.size() + 2);
  return printable(message, 300);
}

// Kept for ever.
boost::dll::shared_library& load_library(const std::string& path) {
  namespace dll = boost::dll;
  static std::mutex& mutex = *new std::mutex;
  static auto& kept = *new std::vector<dll::shared_library*>;
  try {
    auto* library = new dll::shared_library(dll::fs::path(path), dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    const std::lock_guard lock(mutex);
    return *kept.emplace_back(library);
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
  if (!is_device_id(info.id)) {
    refuse("a device has the id '{}', expected printable characters without blank or comma", printable(info.id));
  }
  return {info.kind, info.id, printable(info.name), info.mem_total, info.mem_free};
}

}  // namespace

bool is_device_id(std::string_view id) {
  return !id.empty() && id.size() < sizeof bn_device_info::id &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7F && c != '\\' && c != ','; });
}

std::vector<DeviceSummary> enumerate_devices(const bn_plugin* table, const bn_host* host) {
  std::vector<DeviceSummary> devices;
  for (uint32_t index = 0;; ++index) {
    bn_device_info info{};
    info.struct_size = sizeof info;
    bn_error error{};
    error.struct_size = sizeof error;
    const bn_status status = table->enumerate(host, index, &info, &error);
    if (status == BN_E_UNSUPPORTED) {
      if (devices.empty()) refuse("not supported on this machine: {}", error_text(status, error));
      return devices;
    }
    if (status != BN_OK) refuse("asked for device {}, it answers: {}", index, error_text(status, error));
    if (index == kMaxDevices) refuse("it has more than {} devices", kMaxDevices);
    DeviceSummary device = summary_of(info);
    for (const DeviceSummary& other : devices) {
      if (other.id == device.id) refuse("two of its devices have the id {}", device.id);
    }
    devices.push_back(std::move(device));
  }
}

LoadedPlugin load_plugin_file(const std::string& path, std::string_view id, const bn_host* host, const OnStage& on_stage) {
  const FloatingPointModes restored_at_the_end;
  const auto begin = [&](LoadStage stage) {
    if (on_stage) on_stage(stage);
  };
  LoadedPlugin plugin;
  begin(LoadStage::kOpen);
  const boost::dll::shared_library& library = load_library(path);
  try {
    begin(LoadStage::kEntry);
    plugin.table = call_entry(library);
    plugin.vendor = plugin_text(plugin.table->vendor);
    if (const std::string said = plugin_text(plugin.table->id); said != id) {
      refuse("its table says id {}, its manifest {}", said, id);
    }
    begin(LoadStage::kEnumerate);
    plugin.devices = enumerate_devices(plugin.table, host);
  } catch (const Error&) {
    throw;
  } catch (...) {
    refuse("it threw an exception across the plugin boundary");
  }
  return plugin;
}

}  // namespace bitnet::backend
