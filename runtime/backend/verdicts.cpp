// backend/verdicts.cpp - one JSON object per plugin path in verdicts.json of the user's cache folder.
//
// "judge"      bn_probe's identity, CPU features, and the environment variables that change what a plugin sees.
// "machine"    the boot and the identity of /dev: a driver that comes later changes one of them.
// "linker"     the identity of /etc/ld.so.cache, which every change of the system's libraries renews.
#include "backend/verdicts.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <span>
#include <string_view>

#include "backend/cpu_features.h"
#include "backend/probe_answer.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/sha256.h"

namespace bitnet::backend {
namespace {

using nlohmann::json;
using Kind = ProbeOutcome::Kind;

constexpr const char* kFile = "verdicts.json";
constexpr int kVersion = 1;
constexpr int64_t kRefusalSeconds = 3600;
constexpr int64_t kCrashSeconds = 24 * 3600;
constexpr int kFinalCrashes = 3;
constexpr size_t kMaxEntries = 1024;

std::string hash_of(std::string_view text) { return sha256_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }

std::string hash_of_file(const std::string& path) {
  const MappedFile file(path);
  return sha256_hex(std::span(file.data(), static_cast<size_t>(file.size())));
}

std::string identity_text(const std::string& path) {
  const auto identity = identity_of(path);
  return identity ? to_json(*identity).dump() : "absent";
}

// Which libraries are found, which devices a driver shows, and which faults the mock plays (BN_MOCK_FAULTS).
bool changes_what_plugins_see(std::string_view name) {
  for (const std::string_view prefix : {"LD_", "BN_", "CUDA_", "HIP_", "ROCR_", "ZE_", "GPU_"}) {
    if (name.starts_with(prefix)) return true;
  }
  return name.find("VISIBLE_DEVICES") != std::string_view::npos;
}

std::string environment_text() {
  std::vector<std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (changes_what_plugins_see(text.substr(0, text.find('=')))) variables.emplace_back(text);
  }
  std::sort(variables.begin(), variables.end());
  return fmt::format("{}", fmt::join(variables, "\n"));
}

std::string judge_text(const std::string& probe_program) {
  std::string features;
  for (const std::string_view name : known_cpu_features()) {
    if (cpu_has(name).value_or(false)) features.append(name).append(" ");
  }
  return hash_of(fmt::format("{}\n{}\n{}", identity_text(probe_program), features, environment_text()));
}

std::string machine_text() {
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id") >> std::ws, boot);
  return boot + " " + identity_text("/dev");
}

constexpr std::pair<Kind, const char*> kKinds[] = {
    {Kind::kUsable, "usable"}, {Kind::kRefused, "refused"}, {Kind::kCrashed, "crashed"}, {Kind::kHung, "hung"}};

std::optional<Kind> kind_of(const json& name) {
  for (const auto& [kind, text] : kKinds) {
    if (name == text) return kind;
  }
  return std::nullopt;
}

const char* name_of(Kind kind) {
  for (const auto& [known, text] : kKinds) {
    if (known == kind) return text;
  }
  return "";
}

bool is_failure(Kind kind) { return kind == Kind::kCrashed || kind == Kind::kHung; }

json libraries_json(const std::vector<std::string>& paths) {
  json list = json::array();
  for (const std::string& path : paths) {
    if (const auto identity = identity_of(path)) list.push_back({path, to_json(*identity)});
  }
  return list;
}

bool are_unchanged(const json& libraries) {
  return std::all_of(libraries.begin(), libraries.end(), [](const json& library) {
    const auto now = identity_of(library.at(0).get<std::string>());
    return now && *now == identity_from_json(library.at(1));
  });
}

int crashes_of(const json& entry) {
  const auto found = entry.find("crashes");
  return found != entry.end() && found->is_number_integer() ? found->get<int>() : 0;
}

}  // namespace

VerdictCache::VerdictCache(const std::string& probe_program, int64_t now)
    : file_(kFile, kVersion),
      now_(now),
      judge_(judge_text(probe_program)),
      machine_(machine_text()),
      linker_(identity_text("/etc/ld.so.cache")),
      entries_(file_.read()) {}

std::optional<RememberedVerdict> VerdictCache::find(const std::string& path) {
  const auto entry = entries_.find(path);
  if (entry == entries_.end()) return std::nullopt;
  try {
    return valid_entry(path, *entry);
  } catch (const json::exception&) {  // damaged: as if there were none
  } catch (const Error&) {
  }
  return std::nullopt;
}

std::optional<RememberedVerdict> VerdictCache::valid_entry(const std::string& path, json& entry) {
  const auto kind = kind_of(entry.at("verdict"));
  const auto identity = identity_of(path);
  if (!kind || !identity) return std::nullopt;
  const bool touched = identity_from_json(entry.at("file")) != *identity;
  if (entry.at("judge") != judge_ || (touched && entry.at("sha256") != hash_of_file(path))) {
    entry["crashes"] = 0;  // of another file, or in other circumstances
    return std::nullopt;
  }
  if (touched) {
    entry["file"] = to_json(*identity);
    changes_[path] = entry;
  }
  RememberedVerdict verdict;
  verdict.age = now_ - entry.at("time").get<int64_t>();
  verdict.final = is_failure(*kind) && crashes_of(entry) >= kFinalCrashes;
  if (!verdict.final && !is_current(*kind, verdict.age, entry)) return std::nullopt;
  verdict.outcome.kind = *kind;
  verdict.outcome.reason = printable_once(entry.at("reason"));
  if (*kind == Kind::kUsable) {
    verdict.outcome.vendor = printable_once(entry.at("vendor"));
    verdict.outcome.devices = devices_from_json(entry.at("devices"));
  }
  return verdict;
}

bool VerdictCache::is_current(Kind kind, int64_t age, const json& entry) const {
  if (age < 0 || !are_unchanged(entry.at("libraries"))) return false;
  if (kind == Kind::kRefused && (age > kRefusalSeconds || entry.at("machine") != machine_)) return false;
  if (is_failure(kind) && age > kCrashSeconds) return false;
  return kind == Kind::kUsable || entry.at("linker") == linker_;
}

void VerdictCache::note(const std::string& path, const ProbeOutcome& outcome) {
  const auto identity = identity_of(path);
  if (outcome.kind == Kind::kNotProbed || !identity) return;
  const auto before = entries_.find(path);
  int crashes = is_failure(outcome.kind) ? 1 : 0;
  if (crashes > 0 && before != entries_.end()) crashes += crashes_of(*before);
  json entry = {{"file", to_json(*identity)}, {"time", now_},       {"judge", judge_},
                {"machine", machine_},        {"linker", linker_},  {"verdict", name_of(outcome.kind)},
                {"reason", outcome.reason},   {"crashes", crashes}, {"libraries", libraries_json(outcome.libraries)}};
  try {
    entry["sha256"] = hash_of_file(path);
  } catch (const Error&) {  // gone meanwhile
    return;
  }
  if (outcome.kind == Kind::kUsable) {
    entry["vendor"] = outcome.vendor;
    entry["devices"] = devices_to_json(outcome.devices);
  }
  entries_[path] = entry;
  changes_[path] = std::move(entry);
}

void VerdictCache::forget(const std::string& path) {
  entries_.erase(path);
  changes_[path] = nullptr;
}

void VerdictCache::save() {
  if (changes_.empty()) return;
  file_.update([&](json& content) {
    for (auto& [path, entry] : changes_) {
      if (entry.is_null()) {
        content.erase(path);
      } else {
        content[path] = std::move(entry);
      }
    }
    // Paths that nobody looks at any more.
    for (auto at = content.begin(); content.size() > kMaxEntries && at != content.end();) {
      at = identity_of(at.key()) ? std::next(at) : content.erase(at);
    }
    if (content.size() > kMaxEntries) content = json::object();
  });
  changes_.clear();
}

void VerdictCache::clear() {
  StateFile(kFile, kVersion).update([](json& content) { content = json::object(); });
}

}  // namespace bitnet::backend
