// backend/priority.h - which backends may run, in which order, and why each of the others may not.
//
// The list   "--backend X" puts X in front of the default list; "X,Y" replaces it; "auto" stands for the default list.
// Names      a short name, an id, a device id, or the group "cpu": the first-party CPU plugins, widest vectors first.
// Mock       a plugin of kind "test" runs only when named, or last of all when allowed.
// Strangers  a plugin that is not first party runs only when named.
// Threads    everything here is a pure function of plain data.
// Source     user_interface.md, section 7; plugins.md, section 13.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bitnet::backend {

struct BackendFacts {
  std::string name, id, kind;  // kind "test": never chosen by itself
  bool usable = false;
  std::string reason;                // why not
  std::vector<std::string> devices;  // ids; at least one when usable
};

struct Candidate {
  size_t plugin;       // index into the facts
  std::string name;    // of the plugin
  std::string device;  // id
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
  bool allow_mock = false;  // a test backend, last of all
};

// requested: what the user gave, empty for "auto".
// Errors  Error{kUsage} for a name the user gave that nothing here has; it lists the known ones.
//         Error{kNoBackend} under strict when the first entry is not usable, with the reason.
Order order_candidates(const std::vector<BackendFacts>& plugins, const std::vector<std::string>& requested,
                       const OrderOptions& options = {});

// One line for Error{kNoBackend} when there is no candidate: every asked name with its reason, or all names when none was asked
// for.
std::string no_backend_message(const Order& order);

}  // namespace bitnet::backend
