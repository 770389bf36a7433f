// backend/quarantine.cpp - failures of this process in a map, those of all processes in device_failures.json.
#include "backend/quarantine.h"

#include "backend/file_identity.h"
#include "backend/probe_answer.h"
#include "base/error.h"

namespace bitnet::backend {
namespace {

using nlohmann::json;

constexpr const char* kFile = "device_failures.json";
constexpr int kVersion = 1;
constexpr int64_t kDay = 24 * 3600;

// One more failure in the record of a device; an old or damaged record begins anew.
json with_failure(const json& record, const FileIdentity& file, const std::string& reason, int64_t now) {
  json times = json::array();
  bool out = false;
  try {
    if (record.is_object() && identity_from_json(record.at("file")) == file) {
      for (const json& time : record.at("times")) {
        if (time.get<int64_t>() > now - kDay && time.get<int64_t>() <= now) times.push_back(time);
      }
      out = record.at("out").get<bool>();
    }
  } catch (const json::exception&) {
  }
  times.push_back(now);
  out |= times.size() >= Quarantine::kFailuresOfADay;
  return {{"file", to_json(file)}, {"times", times}, {"reason", reason}, {"out", out}};
}

std::optional<std::string> reason_in(const json& record, const std::string& path) {
  try {
    const auto file = identity_of(path);
    if (!record.at("out").get<bool>() || !file || identity_from_json(record.at("file")) != *file) return std::nullopt;
    return fmt::format("failed {} times within a day, last: {}; 'bitnet-run backends rescan' lets it try again",
                       Quarantine::kFailuresOfADay, printable_once(record.at("reason")));
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

Quarantine& Quarantine::of_process() {
  static Quarantine& quarantine = *new Quarantine;
  return quarantine;
}

Quarantine::Quarantine() : file_(kFile, kVersion), known_(file_.read()) {}

void Quarantine::note_failure(const std::string& plugin_path, const std::string& kind, const std::string& device_id,
                              const std::string& reason, int64_t now) {
  if (kind == "test") return;
  const std::lock_guard lock(mutex_);
  failed_here_[{plugin_path, device_id}] = reason;
  const auto file = identity_of(plugin_path);
  if (!file) return;  // the built-in backend
  file_.update([&](json& content) {
    json& devices = content[plugin_path];
    if (!devices.is_object()) devices = json::object();
    devices[device_id] = with_failure(devices[device_id], *file, reason, now);
    known_ = content;
  });
}

std::optional<std::string> Quarantine::reason(const std::string& plugin_path, const std::string& device_id) const {
  const std::lock_guard lock(mutex_);
  if (const auto plugin = known_.find(plugin_path); plugin != known_.end() && plugin->is_object()) {
    if (const auto device = plugin->find(device_id); device != plugin->end() && device->is_object()) {
      if (auto out = reason_in(*device, plugin_path)) return out;
    }
  }
  const auto here = failed_here_.find({plugin_path, device_id});
  if (here == failed_here_.end()) return std::nullopt;
  return fmt::format("failed in this process: {}", here->second);
}

void Quarantine::clear() {
  const std::lock_guard lock(mutex_);
  failed_here_.clear();
  known_ = json::object();
  file_.update([](json& content) { content = json::object(); });
}

}  // namespace bitnet::backend
