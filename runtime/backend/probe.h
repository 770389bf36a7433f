// backend/probe.h - tries plugin files in processes of their own, several at once, before anything of them runs in this one.
//
// Each file gets one run of bn_probe: started by posix_spawn, in a process group of its own, standard input empty, its output
// kept from ours, no core file. Only a complete positive answer is success; at the deadline the whole group is killed.
// Errors   none is thrown: whatever happens is an outcome.
// Threads  any; a call uses no thread of its own.
// Source   plugins.md, section 12.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "backend/loader.h"

namespace bitnet::backend {

struct ProbeRequest {
  std::string path;  // absolute, links resolved
  std::string id;    // of the manifest
};

struct ProbeOutcome {
  enum class Kind {
    kUsable,
    kRefused,    // it answered no, printed to standard output, or answered nonsense
    kCrashed,    // a signal, or an end without an answer
    kHung,       // no answer in time
    kNotProbed,  // bn_probe cannot be started; says nothing about the plugin
  };
  Kind kind = Kind::kNotProbed;
  std::string reason;                  // one printable line; empty when usable
  std::string vendor;                  // printable
  std::vector<DeviceSummary> devices;  // at least one when usable
  std::vector<std::string> libraries;  // absolute paths of what the probe had mapped
  double milliseconds = 0;             // from the start of bn_probe to its answer or end
};

inline constexpr int kProbeDeadlineMs = 2000;
inline constexpr size_t kProbesAtOnce = 16;

// program: path of bn_probe. Outcomes come in the order of the requests.
std::vector<ProbeOutcome> probe_files(const std::string& program, const std::vector<ProbeRequest>& requests,
                                      int deadline_ms = kProbeDeadlineMs);

}  // namespace bitnet::backend
