// backend/quarantine.h - devices that failed in use: out for this process, and after three times within a day for all.
//
// What counts is for the caller to say: a lost device, an internal error, a hang. Test backends (kind "test") fail on purpose
// and are never noted. A plugin file that changed has a clean record.
// Errors   none: without a cache folder only this process remembers.
// Threads  any; processes share the file.
// Source   plugins.md, section 12.
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/state_file.h"

namespace bitnet::backend {

class Quarantine {
 public:
  static constexpr int kFailuresOfADay = 3;

  // Of this process. The registry asks it about every device.
  static Quarantine& of_process();

  // Reads what earlier processes noted.
  Quarantine();

  // plugin_path: as in Plugin::file. kind: of the plugin. reason: one printable line. now: seconds since 1970.
  void note_failure(const std::string& plugin_path, const std::string& kind, const std::string& device_id,
                    const std::string& reason, int64_t now = std::time(nullptr));
  // Why a device is not to be used, one line; nothing when it may be.
  std::optional<std::string> reason(const std::string& plugin_path, const std::string& device_id) const;
  bool is_quarantined(const std::string& plugin_path, const std::string& device_id) const {
    return reason(plugin_path, device_id).has_value();
  }
  // Forgets all, in the file too.
  void clear();

 private:
  StateFile file_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::string> failed_here_;  // path and device: reason
  nlohmann::json known_;  // of the file: path: device: {"file", "times", "reason", "out"}
};

}  // namespace bitnet::backend
