// backend/loader.h - hands a plugin file to the system's loader, asks for its table and counts its devices.
//
// The one piece of code that runs a plugin for the first time: in bn_probe, to see what happens, and then in this process.
// A loaded library stays loaded until the process ends: code that may still run on some thread cannot be unloaded safely.
// Floating-point modes are what they were after each load (a library linked with -ffast-math changes them).
// Errors   Error{kNoBackend}: one line; the caller knows the path.
// Threads  any.
// Source   plugins.md, sections 3 and 17; sdk/include/bitnet/plugin.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bitnet/plugin.h"

namespace bitnet::backend {

struct DeviceSummary {
  uint32_t kind = 0;                     // BN_DEV_*
  std::string id;                        // printable ASCII; what OpenDevice takes
  std::string name;                      // safe to print
  uint64_t mem_total = 0, mem_free = 0;  // bytes; 0: uses host memory
};

inline constexpr uint32_t kMaxDevices = 64;

struct LoadedPlugin {
  const bn_plugin* table = nullptr;    // the plugin's own; valid for ever
  std::string vendor;                  // safe to print
  std::vector<DeviceSummary> devices;  // at least one, at most kMaxDevices
};

// The stages in which a plugin can go wrong, told as they begin.
enum class LoadStage { kOpen, kEntry, kEnumerate };
using OnStage = std::function<void(LoadStage)>;

// path      absolute, of a file judged by inspect_elf() and check_manifest().
// id        what its manifest says; the table must say the same.
// host      lives until the process ends.
// on_stage  may be empty; what it throws comes out of here.
LoadedPlugin load_plugin_file(const std::string& path, std::string_view id, const bn_host* host, const OnStage& on_stage = {});

// What enumerate() of a table says.
std::vector<DeviceSummary> enumerate_devices(const bn_plugin* table, const bn_host* host);

// Whether a device may be called so: 1 to 63 printable characters without blank, comma and backslash.
bool is_device_id(std::string_view id);

}  // namespace bitnet::backend
