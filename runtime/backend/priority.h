// backend/priority.h - which backends may run, in which order, and why each of the others may not.
//
// The list   "--backend X" puts X in front of the default list; "X,Y" replaces it; "auto" stands for the default list.
// Names      a short name, an id, a device id, or the group "cpu": the first-party CPU plugins, fastest first as measured
//            (scores.h). Scores within 5 % of the best are a tie: ties go, and those without a score follow, in a fixed order.
// Tiers      of a plugin with both, a device is tried as an engine first, then with the kernels. What a test backend offers
//            depends on its options: it is one candidate.
// Mock       a plugin of kind "test" runs only when named, or last of all when allowed.
// Strangers  a plugin that is not first party runs only when named.
// Threads    everything here is a pure function of plain data.
// Source     user_interface.md, section 7; plugins.md, section 13.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bitnet::backend {

struct BackendFacts {
  std::string name, id, kind;  // kind "test": never chosen by itself
  bool usable = false;
  std::string reason;                // why not
  std::vector<std::string> devices;  // ids; at least one when usable
  std::string numerics = {};         // "exact-1", "approx-1"
  std::vector<std::string> tiers = {};
};

struct Candidate {
  size_t plugin;          // index into the facts
  std::string name;       // of the plugin
  std::string device;     // id
  std::string tier = {};  // "engine" or "kernels"; empty: the one the device offers
  std::string why = {};   // why it stands here
  bool named = false;     // by the user, by its own name or device
  bool grouped = false;   // through the group "cpu": its place depends on scores
  bool last_resort = false;
};

// How fast a device multiplies the model's matrices on this machine.
struct Score {
  size_t plugin = 0;  // index into the facts
  std::string device;
  double gb_per_second = 0;  // of packed weights; 0: not measured
  int64_t measured_at = 0;   // seconds since 1970
  bool crashed = false;      // the last measurement did not come to an end
};

// A device that says no to this model before it is loaded.
struct Refusal {
  size_t plugin = 0;
  std::string device;
  std::string sentence;
};

struct LeftOut {
  std::string name;
  std::string reason;
  bool asked = false;  // the list names it: worth a line to the user; otherwise detail for --verbose
};

struct Order {
  std::vector<Candidate> candidates;  // try them in this order; may be empty unless strict
  std::vector<LeftOut> left_out;
};

// {"cuda", "cpu"}
std::vector<std::string> default_priority();

struct OrderOptions {
  std::vector<std::string> default_list = default_priority();
  bool strict = false;  // only the first candidate of the first entry; of the default list, of the first entry that is there
  bool allow_mock = false;     // a test backend, last of all
  bool deterministic = false;  // only exact-1
  bool real_model = false;     // no test backend, even when named
  bool no_gpu = false;
  std::vector<Score> scores = {};
  std::vector<Refusal> refusals = {};
};

// requested: what the user gave, empty for "auto".
// Errors  Error{kUsage} for a name the user gave that nothing here has; it lists the known ones.
//         Error{kNoBackend} under strict when the first entry is not usable, with the reason.
Order order_candidates(const std::vector<BackendFacts>& plugins, const std::vector<std::string>& requested,
                       const OrderOptions& options = {});

// "14.2 GB/s"; of a crashed or unmeasured one, that.
std::string score_text(const Score& score);

// The members of the group "cpu" whose order is to be measured: none when the first choice does not depend on it.
std::vector<Candidate> order_to_measure(const std::vector<BackendFacts>& plugins, const std::vector<std::string>& requested,
                                        const OrderOptions& options);

// One line for Error{kNoBackend} when there is no candidate: every asked name with its reason, or all names when none was asked
// for.
std::string no_backend_message(const Order& order);

}  // namespace bitnet::backend
