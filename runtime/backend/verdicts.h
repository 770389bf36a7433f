// backend/verdicts.h - what probes found out about plugin files, kept between runs.
//
// A verdict is about one file, one build of bn_probe, one CPU, one environment, and the libraries that were mapped with the
// file. When one of them changes the file is probed again.
//   usable    until then.
//   refused   at most an hour, and until the system's libraries, its devices or its boot change: what it asked for may be there
//   now. crashed,  24 hours, and until the system's libraries change; the third time in a row for good. Only another file or
//   hung      clear_verdicts() ends that.
// Errors   none: without a cache folder nothing is remembered.
// Threads  one object by one thread; processes share the file.
// Source   plugins.md, section 12.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "backend/file_identity.h"
#include "backend/probe.h"
#include "base/state_file.h"

namespace bitnet::backend {

struct RememberedVerdict {
  ProbeOutcome outcome;
  int64_t age = 0;     // seconds
  bool final = false;  // it crashed or hung three times in a row
};

class VerdictCache {
 public:
  // Reads what is remembered. probe_program: path of bn_probe. now: seconds since 1970.
  VerdictCache(const std::string& probe_program, int64_t now);

  // path: of the file, links resolved; it is read only when it was touched since.
  std::optional<RememberedVerdict> find(const std::string& path);
  void note(const std::string& path, const ProbeOutcome& outcome);
  // Of a file whose verdict turned out to be wrong.
  void forget(const std::string& path);
  // Writes what was noted and forgotten, if anything was.
  void save();

  static void clear();

 private:
  std::optional<RememberedVerdict> valid_entry(const std::string& path, nlohmann::json& entry);
  bool is_current(ProbeOutcome::Kind kind, int64_t age, const nlohmann::json& entry) const;

  StateFile file_;
  int64_t now_;
  std::string judge_, machine_, linker_;           // see verdicts.cpp
  nlohmann::json entries_;                         // as read, touched files brought up to date
  std::map<std::string, nlohmann::json> changes_;  // null: forget
};

}  // namespace bitnet::backend
