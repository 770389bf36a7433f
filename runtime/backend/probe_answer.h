// backend/probe_answer.h - what bn_probe tells the program that started it, and how both sides spell it.
//
// On its pipe the probe writes the name of each stage on a line of its own as it begins, then one line of JSON, and ends:
//   {"schema": 1, "ok": true, "vendor": "...", "devices": [{"id", "name", "kind", "mem_total", "mem_free"}, ...],
//    "libraries": ["/lib/...", ...]}      or      {"schema": 1, "ok": false, "reason": "..."}
// Input    hostile when read: plugin code runs in the process that writes it.
// Threads  pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/loader.h"

namespace bitnet::backend {

inline constexpr int kProbeAnswerFd = 3;               // of the child
inline constexpr size_t kMaxAnswerBytes = 256u << 10;  // stages and JSON
inline constexpr size_t kMaxLibraries = 512;
inline constexpr int kProbeLostItsPipe = 97;  // exit code: somebody closed kProbeAnswerFd

struct ProbeAnswer {
  bool ok = false;
  std::string reason;                  // printable; empty when ok
  std::string vendor;                  // printable
  std::vector<DeviceSummary> devices;  // when ok: at least one
  std::vector<std::string> libraries;  // when ok: absolute paths of what was mapped beside the probe itself
};

std::string_view stage_name(LoadStage stage);
std::optional<LoadStage> stage_from_name(std::string_view name);

std::string write_answer(const ProbeAnswer& answer);  // without the end of the line
// Throws Error{kNoBackend} when it is not what write_answer() could have written.
ProbeAnswer read_answer(std::string_view json);

// A text that was made printable before it was written, and is so still: doing it twice would double the backslashes.
// Throws nlohmann::json::exception when it is no text.
std::string printable_once(const nlohmann::json& value);

// The devices of an answer, as in it and as in the verdict cache.
nlohmann::json devices_to_json(const std::vector<DeviceSummary>& devices);
// Throws Error{kNoBackend} or nlohmann::json::exception.
std::vector<DeviceSummary> devices_from_json(const nlohmann::json& json);

}  // namespace bitnet::backend
