// backend/priority.cpp - expands the list, matches its entries, and says why the rest stays out.
#include "backend/priority.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/error.h"

namespace bitnet::backend {
namespace {

constexpr std::string_view kFirstPartyPrefix = "org.bitnet-run.";
constexpr std::string_view kCpuGroup = "cpu";
// For ties and without measurement: widest vectors first. At most one kind of machine's plugins is ever usable.
constexpr double kTie = 0.95;  // of the best score
constexpr std::array<std::string_view, 4> kCpuOrder = {"cpu_avx512", "cpu_avx2", "cpu_neon", "cpu_portable"};

struct Entry {
  std::string name;
  bool by_user;
};

// A plugin for a kind of device that this machine lacks is as normal as one that is not installed (loader.cpp, sdk/README.md).
bool lacks_its_device(const BackendFacts& p) { return p.reason.starts_with("not supported on this machine: no device"); }

bool is_first_party(const BackendFacts& p) { return std::string_view(p.id).starts_with(kFirstPartyPrefix); }

// Short names that mean our own plugins whatever else calls itself so.
bool is_reserved(std::string_view name) {
  return name == "cuda" || name == kCpuGroup || std::find(kCpuOrder.begin(), kCpuOrder.end(), name) != kCpuOrder.end();
}

// A refused file may have no readable id: then its name is all there is, and it is not going to run anyway.
bool answers_to(const BackendFacts& p, std::string_view name) {
  if (p.id == name) return true;
  return p.name == name && (!is_reserved(name) || !p.usable || is_first_party(p));
}

std::vector<Entry> effective_list(const std::vector<std::string>& requested, const std::vector<std::string>& default_list) {
  std::vector<Entry> list;
  const auto append_default = [&] {
    for (const std::string& name : default_list) list.push_back({name, false});
  };
  for (const std::string& name : requested) {
    if (name == "auto") {
      append_default();
    } else {
      list.push_back({name, true});
    }
  }
  if (requested.empty() || (requested.size() == 1 && requested[0] != "auto")) append_default();
  return list;
}

bool has(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// The facts after the vetoes: what the options forbid, and the devices that refuse the model.
std::vector<BackendFacts> after_vetoes(std::vector<BackendFacts> plugins, const OrderOptions& options) {
  for (BackendFacts& p : plugins) {
    const char* reason = nullptr;
    if (options.no_gpu && p.kind == "gpu") reason = "-ngl 0 asks for no GPU";
    if (options.deterministic && p.numerics != "exact-1") reason = "is not exact-1, and --deterministic asks for it";
    if (options.real_model && p.kind == "test") reason = "is a mock, and --real-model forbids it";
    if (!p.usable || reason == nullptr) continue;
    p.usable = false;
    p.reason = reason;
  }
  for (const Refusal& refusal : options.refusals) {
    BackendFacts& p = plugins.at(refusal.plugin);
    if (!p.usable || std::erase(p.devices, refusal.device) == 0 || !p.devices.empty()) continue;
    p.usable = false;
    p.reason = refusal.sentence;
  }
  return plugins;
}

class Ordering {
 public:
  Ordering(const std::vector<BackendFacts>& plugins, const OrderOptions& options)
      : plugins_(after_vetoes(plugins, options)), options_(options) {}

  Order run(const std::vector<Entry>& list) {
    for (const Entry& entry : list) {
      add_entry(entry);
      // Under strict the first entry decides; of the default list, the first that is there, usable or not.
      const bool is_there = !order_.candidates.empty() || (!order_.left_out.empty() && order_.left_out.back().asked);
      if (options_.strict && (entry.by_user || is_there)) break;
    }
    if (options_.strict) keep_only_first(list);
    for (size_t i = 0; i < plugins_.size() && options_.allow_mock && !options_.strict; ++i) {
      if (plugins_[i].kind == "test" && plugins_[i].usable) {
        add_plugin(i, {.why = "allowed with --allow-mock, last of all", .last_resort = true});
      }
    }
    explain_the_rest(list);
    return std::move(order_);
  }

 private:
  // What all candidates of one entry have in common.
  struct Place {
    std::string why = {};
    bool named = false, grouped = false, last_resort = false;
  };

  void add_entry(const Entry& entry) {
    if (entry.name == kCpuGroup) return add_cpu_group();
    const Place place = {.why = entry.by_user ? "named" : "in the default list", .named = entry.by_user};
    if (const size_t i = find_plugin(entry.name); i < plugins_.size()) {
      if (plugins_[i].usable) return add_plugin(i, place);
      return leave_out(plugins_[i].name, plugins_[i].reason, entry.by_user || !lacks_its_device(plugins_[i]));
    }
    if (!is_reserved(entry.name) && add_device(entry.name, place)) return;
    // An absent entry of the default list is the normal case on most machines and no failure.
    if (!entry.by_user || is_reserved(entry.name)) return leave_out(entry.name, "not installed", entry.by_user);
    fail(ErrorKind::kUsage, "unknown backend '{}'; known are {}", printable(entry.name, 60), fmt::join(known_names(), ", "));
  }

  // A member that cannot run is detail as long as another one can.
  void add_cpu_group() {
    std::vector<size_t> refused;
    std::vector<Score> members;
    for (const std::string_view name : kCpuOrder) {
      const size_t i = find_plugin(name);
      if (i == plugins_.size()) continue;
      if (!plugins_[i].usable) refused.push_back(i);
      for (const std::string& device : plugins_[i].usable ? plugins_[i].devices : std::vector<std::string>()) {
        members.push_back(score_of(i, device));
      }
    }
    const bool any_usable = !members.empty(), measured = members.size() > 1;
    while (!members.empty()) {
      const size_t next = best_of(members);
      const Score score = members[next];
      members.erase(members.begin() + static_cast<std::ptrdiff_t>(next));
      add_candidate(score.plugin, score.device, {.why = measured ? score_text(score) : "in group cpu", .grouped = true});
    }
    for (const size_t i : refused) leave_out(plugins_[i].name, plugins_[i].reason, !any_usable);
    if (!any_usable && refused.empty()) leave_out(std::string(kCpuGroup), "no CPU plugin is installed", true);
  }

  Score score_of(size_t plugin, const std::string& device) const {
    for (const Score& s : options_.scores) {
      if (s.plugin == plugin && s.device == device) return s;
    }
    return {plugin, device};
  }

  // The first within a tie of the fastest; without any speed the first; a crashed one only when nobody else is left.
  static size_t best_of(const std::vector<Score>& members) {
    double fastest = 0;
    for (const Score& s : members) fastest = std::max(fastest, s.crashed ? 0 : s.gb_per_second);
    for (size_t i = 0; i < members.size(); ++i) {
      if (!members[i].crashed && members[i].gb_per_second >= kTie * fastest) return i;
    }
    return 0;
  }

  // The usable plugin of that name, else the first of that name, else plugins_.size().
  size_t find_plugin(std::string_view name) const {
    size_t found = plugins_.size();
    for (size_t i = 0; i < plugins_.size(); ++i) {
      if (!answers_to(plugins_[i], name)) continue;
      if (plugins_[i].usable) return i;
      found = std::min(found, i);
    }
    return found;
  }

  void add_plugin(size_t i, const Place& place) {
    for (const std::string& device : plugins_[i].devices) add_candidate(i, device, place);
  }

  bool add_device(std::string_view id, const Place& place) {
    for (size_t i = 0; i < plugins_.size(); ++i) {
      if (!plugins_[i].usable || !has(plugins_[i].devices, id)) continue;
      add_candidate(i, std::string(id), place);
      return true;
    }
    return false;
  }

  void add_candidate(size_t i, const std::string& device, const Place& place) {
    for (const Candidate& c : order_.candidates) {
      if (c.plugin == i && c.device == device) return;
    }
    const BackendFacts& p = plugins_[i];
    const bool both = p.kind != "test" && has(p.tiers, "engine") && has(p.tiers, "kernels");
    for (const char* tier : both ? std::vector<const char*>{"engine", "kernels"} : std::vector<const char*>{""}) {
      order_.candidates.push_back({i, p.name, device, tier, place.why, place.named, place.grouped, place.last_resort});
    }
  }

  void leave_out(std::string name, std::string reason, bool asked) {
    for (LeftOut& l : order_.left_out) {
      if (l.name == name && l.reason == reason) {
        l.asked |= asked;
        return;
      }
    }
    order_.left_out.push_back({std::move(name), std::move(reason), asked});
  }

  void keep_only_first(const std::vector<Entry>& list) {
    if (order_.candidates.empty()) {
      fail(ErrorKind::kNoBackend, "{}; --no-fallback allows only the first backend of the list ({})",
           no_backend_message(order_), list.empty() ? "" : printable(list.front().name, 60));
    }
    order_.candidates.resize(1, order_.candidates.front());
  }

  void explain_the_rest(const std::vector<Entry>& list) {
    std::vector<std::string_view> names;
    for (const Entry& entry : list) names.push_back(entry.name);
    for (size_t i = 0; i < plugins_.size(); ++i) {
      const BackendFacts& p = plugins_[i];
      const auto is_this = [&](const Candidate& c) { return c.plugin == i; };
      if (std::any_of(order_.candidates.begin(), order_.candidates.end(), is_this)) continue;
      if (!p.usable) {
        leave_out(p.name, p.reason, false);
      } else if (options_.strict) {
        leave_out(p.name, "--no-fallback allows only the first backend of the list", false);
      } else if (p.kind == "test") {
        leave_out(p.name, "test backend: runs only when named, or last of all with --allow-mock", false);
      } else if (is_reserved(p.name) && !is_first_party(p)) {
        leave_out(p.name, fmt::format("not ours despite its name: runs only when named by its id {}", p.id), false);
      } else if (!is_first_party(p)) {
        leave_out(p.name, "not part of this program: runs only when named", false);
      } else {
        leave_out(p.name, fmt::format("not in the list ({})", fmt::join(names, ", ")), false);
      }
    }
  }

  std::set<std::string> known_names() const {
    std::set<std::string> names = {std::string(kCpuGroup), "auto"};
    for (const BackendFacts& p : plugins_) names.insert(p.name);
    return names;
  }

  const std::vector<BackendFacts> plugins_;
  const OrderOptions& options_;
  Order order_;
};

}  // namespace

std::vector<std::string> default_priority() { return {"cuda", std::string(kCpuGroup)}; }

Order order_candidates(const std::vector<BackendFacts>& plugins, const std::vector<std::string>& requested,
                       const OrderOptions& options) {
  return Ordering(plugins, options).run(effective_list(requested, options.default_list));
}

std::string score_text(const Score& score) {
  if (score.crashed) return "its last measurement did not come to an end";
  return score.gb_per_second > 0 ? fmt::format("{:.1f} GB/s", score.gb_per_second) : "not measured";
}

std::vector<Candidate> order_to_measure(const std::vector<BackendFacts>& plugins, const std::vector<std::string>& requested,
                                        const OrderOptions& options) {
  OrderOptions lenient = options;
  lenient.strict = false;
  std::vector<Candidate> members;
  for (const Candidate& c : order_candidates(plugins, requested, lenient).candidates) {
    if (c.named && members.empty()) return {};
    if (c.grouped) members.push_back(c);
  }
  return members.size() > 1 ? members : std::vector<Candidate>();
}

std::string no_backend_message(const Order& order) {
  std::string line = "no usable backend";
  const char* separator = ": ";
  const bool any_asked = std::any_of(order.left_out.begin(), order.left_out.end(), [](const LeftOut& l) { return l.asked; });
  for (const LeftOut& l : order.left_out) {
    if (any_asked && !l.asked) continue;
    line += fmt::format("{}{} ({})", separator, l.name, l.reason);
    separator = ", ";
  }
  return line;
}

}  // namespace bitnet::backend
