// backend/policy.h - what to do next: the first choice, and the next one after each failure, as a pure function.
//
// Decided from the order of priority.h and the history of failures in this process, by the status of each failure:
//   INVALID              a bug, or a wrong option of a test backend: the end
//   UNSUPPORTED          next candidate
//   NO_MEMORY            the same device once more, smaller; then next
//   BUSY                 next now; asked once more when no real backend is left
//   DATA                 one other plugin; when that rejects the model too: the end, with both sentences
//   DEVICE_LOST, INTERNAL  next; the device is not used again by this process, through whatever plugin
//   CANCELLED, TIMEOUT   no failure of the backend: the end of the request
// One piece of hardware offered by two plugins (the same PCI id) goes to the first of the list; the other plugin gets it only
// when the first refuses the model.
// Errors   as order_candidates() for the form that takes the input.
// Threads  pure.
// Source   plugins.md, sections 4, 13 and 14.
#pragma once

#include <string>
#include <vector>

#include "backend/priority.h"
#include "base/error.h"
#include "bitnet/plugin.h"

namespace bitnet::backend {

enum class Stage { kLoad, kPrefill, kDecode };
const char* stage_name(Stage stage);  // "load", "prefill", "decode"

struct Failure {
  Candidate candidate;
  bn_status code = BN_E_INTERNAL;
  Stage stage = Stage::kLoad;
  std::string reason;
  bool smaller = false;  // it was the smaller attempt
};
using History = std::vector<Failure>;  // oldest first

enum class Next { kUse, kUseSmaller, kEnd };
enum class Standing { kChosen, kWaiting, kFailed, kExcluded, kLeftOut };
const char* standing_name(Standing standing);  // "chosen", "waiting", "failed", "excluded", "left out"

// One line of the whole picture.
struct Considered {
  std::string name, device, tier;  // device and tier empty for a plugin left out as a whole
  Standing standing;
  std::string reason;
  bool asked = false;  // left out although the list names it
};

struct Decision {
  Next next = Next::kEnd;
  Candidate candidate{};                    // kUse, kUseSmaller
  std::string reason;                       // why this one
  ErrorKind error = ErrorKind::kNoBackend;  // kEnd: what to throw, and its message
  std::string message;
  std::vector<Considered> considered;  // candidates in order, then those left out
};

struct PolicyInput {
  std::vector<BackendFacts> plugins;
  std::vector<std::string> requested;  // what the user gave; empty for "auto"
  OrderOptions options;
};

Decision next_candidate(const PolicyInput& input, const History& history);
// The same from an order made before; strict as it was for the order.
Decision next_candidate(const Order& order, bool strict, const History& history);

}  // namespace bitnet::backend
