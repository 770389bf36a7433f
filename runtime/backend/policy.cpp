// backend/policy.cpp - reads the history per candidate and per device, then picks.
#include "backend/policy.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace bitnet::backend {
namespace {

bool same(const Candidate& a, const Candidate& b) { return a.plugin == b.plugin && a.device == b.device && a.tier == b.tier; }

// "0000:c1:00.0"
bool is_pci_id(std::string_view id) {
  const size_t colon = id.find(':'), second = id.find(':', colon + 1), dot = id.find('.');
  const auto hex = [](unsigned char c) { return std::isxdigit(c) != 0 || c == ':' || c == '.'; };
  return colon != id.npos && second != id.npos && dot != id.npos && dot > second && std::all_of(id.begin(), id.end(), hex);
}

// Equal for candidates that are the same piece of hardware.
std::string hardware(const Candidate& c) {
  if (!is_pci_id(c.device)) return fmt::format("{}/{}", c.plugin, c.device);
  std::string id = c.device;
  std::transform(id.begin(), id.end(), id.begin(), [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
  return "pci " + id;
}

bool kills_device(bn_status code) { return code == BN_E_DEVICE_LOST || code == BN_E_INTERNAL; }
bool is_known(bn_status code) { return code >= BN_E_INVALID && code <= BN_E_INTERNAL; }

class Chooser {
 public:
  Chooser(const Order& order, bool strict, const History& history) : order_(order), strict_(strict), history_(history) {
    for (const Failure& f : history_) {
      // A status nobody knows is as bad as the worst one known.
      if (kills_device(f.code) || !is_known(f.code)) dead_.insert(hardware(f.candidate));
    }
  }

  Decision decide() {
    if (order_.candidates.empty()) {
      end(ErrorKind::kNoBackend, no_backend_message(order_));
    } else if (history_.empty() || !end_of_request()) {
      pick();
    }
    tell_all();
    return std::move(decision_);
  }

 private:
  bool is_dead(const Candidate& c) const { return dead_.contains(hardware(c)); }
  size_t failures(const Candidate& c) const {
    return static_cast<size_t>(
        std::count_if(history_.begin(), history_.end(), [&](const Failure& f) { return same(f.candidate, c); }));
  }
  const Failure* last_failure(const Candidate& c) const {
    const Failure* last = nullptr;
    for (const Failure& f : history_) {
      if (same(f.candidate, c)) last = &f;
    }
    return last;
  }

  // True when the last failure, or all together, leave nothing to try.
  bool end_of_request() {
    const Failure& last = history_.back();
    const std::string who = fmt::format("backend {}: {}", last.candidate.name, last.reason);
    switch (last.code) {
      case BN_E_INVALID:
        if (last.stage == Stage::kLoad) return end(ErrorKind::kUsage, who);
        return end(ErrorKind::kFailure, who + "; this is a bug, please report it");
      case BN_E_CANCELLED:
        return end(ErrorKind::kInterrupted, "stopped");
      case BN_E_TIMEOUT:
        return end(ErrorKind::kTimeLimit, who);
      case BN_E_DATA:
        return second_plugin_rejects_data();
      default:
        return false;
    }
  }

  bool second_plugin_rejects_data() {
    std::set<size_t> plugins;
    std::vector<std::string> sentences;
    for (const Failure& f : history_) {
      if (f.code == BN_E_DATA && plugins.insert(f.candidate.plugin).second) {
        sentences.push_back(fmt::format("{}: {}", f.candidate.name, f.reason));
      }
    }
    if (plugins.size() < 2) return false;
    return end(ErrorKind::kInvalidModel, fmt::format("two backends reject the model's data: {}", fmt::join(sentences, "; ")));
  }

  void pick() {
    if (!history_.empty() && history_.back().code == BN_E_NO_MEMORY && !history_.back().smaller &&
        !is_dead(history_.back().candidate)) {
      return use(history_.back().candidate, Next::kUseSmaller, "the same device with smaller steps");
    }
    const auto find = [&](auto&& f) { return std::find_if(order_.candidates.begin(), order_.candidates.end(), f); };
    const auto untried = [&](const Candidate& c) {
      return failures(c) == 0 && !is_dead(c) && !rejected_data(c) && (!strict_ || same(c, order_.candidates.front()));
    };
    const auto busy_once = [&](const Candidate& c) {
      return !c.last_resort && !is_dead(c) && failures(c) == 1 && last_failure(c)->code == BN_E_BUSY;
    };
    auto at = find([&](const Candidate& c) { return !c.last_resort && untried(c); });
    if (at == order_.candidates.end() && !strict_) {
      if (at = find(busy_once); at != order_.candidates.end()) return use(*at, Next::kUse, "was busy, asked once more");
      at = find(untried);
    }
    if (at != order_.candidates.end()) return use(*at, Next::kUse, at->why);
    std::vector<std::string> reasons;
    for (const Failure& f : history_) {
      std::string line = fmt::format("{}: {}", f.candidate.name, f.reason);
      if (std::find(reasons.begin(), reasons.end(), line) == reasons.end()) reasons.push_back(std::move(line));
    }
    end(ErrorKind::kNoBackend, fmt::format("no usable backend is left: {}{}", fmt::join(reasons, "; "),
                                           strict_ ? " (--no-fallback allows only the first)" : ""));
  }

  // Another device of a plugin that rejected the bytes would do the same.
  bool rejected_data(const Candidate& c) const {
    return std::any_of(history_.begin(), history_.end(),
                       [&](const Failure& f) { return f.code == BN_E_DATA && f.candidate.plugin == c.plugin; });
  }

  void use(const Candidate& c, Next next, std::string reason) {
    decision_.next = next;
    decision_.candidate = c;
    decision_.reason = std::move(reason);
  }

  bool end(ErrorKind error, std::string message) {
    decision_.next = Next::kEnd;
    decision_.error = error;
    decision_.message = std::move(message);
    return true;
  }

  void tell_all() {
    std::set<std::string> seen;
    for (const Candidate& c : order_.candidates) {
      Considered line{c.name, c.device, c.tier, Standing::kWaiting, c.why};
      const Failure* failure = last_failure(c);
      if (decision_.next != Next::kEnd && same(c, decision_.candidate)) {
        line.standing = Standing::kChosen;
        line.reason = decision_.reason;
      } else if (failure != nullptr) {
        line.standing = Standing::kFailed;
        line.reason = fmt::format("failed in {}: {}", stage_name(failure->stage), failure->reason);
      } else if (is_dead(c)) {
        line.standing = Standing::kExcluded;
        line.reason = "the device failed and is not used again by this process";
      } else if (rejected_data(c)) {
        line.standing = Standing::kExcluded;
        line.reason = "the plugin rejected the model's data";
      } else if (is_pci_id(c.device) && seen.contains(hardware(c)) && c.tier != "kernels") {
        line.reason += "; the same hardware as one before it";
      }
      seen.insert(hardware(c));
      decision_.considered.push_back(std::move(line));
    }
    for (const LeftOut& out : order_.left_out) {
      decision_.considered.push_back({out.name, "", "", Standing::kLeftOut, out.reason, out.asked});
    }
  }

  const Order& order_;
  bool strict_;
  const History& history_;
  std::set<std::string> dead_;  // hardware
  Decision decision_;
};

}  // namespace

const char* stage_name(Stage stage) {
  switch (stage) {
    case Stage::kLoad:
      return "load";
    case Stage::kPrefill:
      return "prefill";
    default:
      return "decode";
  }
}

const char* standing_name(Standing standing) {
  switch (standing) {
    case Standing::kChosen:
      return "chosen";
    case Standing::kWaiting:
      return "waiting";
    case Standing::kFailed:
      return "failed";
    case Standing::kExcluded:
      return "excluded";
    default:
      return "left out";
  }
}

Decision next_candidate(const Order& order, bool strict, const History& history) {
  return Chooser(order, strict, history).decide();
}

Decision next_candidate(const PolicyInput& input, const History& history) {
  return next_candidate(order_candidates(input.plugins, input.requested, input.options), input.options.strict, history);
}

}  // namespace bitnet::backend
