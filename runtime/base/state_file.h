// base/state_file.h - small JSON documents that the program keeps between runs: verdicts, scores, device histories.
//
// Everything in them can be found out again, so a missing, damaged, foreign or unwritable file is never an error: it reads as
// an empty object, and what cannot be written is forgotten. They are written to a temporary name and renamed, under a lock, so
// that several processes at once lose nothing and nobody reads half a file.
// Threads  any; processes too.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bitnet {

// The folder for what can be found out again: $XDG_CACHE_HOME/bitnet, else ~/.cache/bitnet; created with mode 0700 when it is
// missing. Empty when there is none to be had: no home, not writable, belongs to another user, others may write to it, or the
// process is privileged (set-user-id).
std::string cache_folder();

class StateFile {
 public:
  static constexpr size_t kMaxBytes = size_t{4} << 20;

  // name: of the file in cache_folder(), "verdicts.json". version: of the content's meaning; another one reads as empty.
  StateFile(const std::string& name, int version);

  // The object last written, or an empty one.
  nlohmann::json read() const;
  // Reads, lets f change the object, writes it back; nobody else changes it in between. Returns false when it was not kept.
  bool update(const std::function<void(nlohmann::json&)>& f) const;

 private:
  std::string path_;  // empty: there is no folder
  int version_;
};

}  // namespace bitnet
