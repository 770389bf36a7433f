// mock/faults.cpp - see faults.h.
#include "faults.h"

#include <unistd.h>

#include <cfenv>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/sampler.hpp"

namespace bn_mock {
namespace {

constexpr const char* kPointNames[kPoints] = {"enumerate", "open",      "accepts", "pack",    "matmul", "dense",   "norm",
                                              "rope",      "attention", "glu",     "fit",     "load",   "session", "append",
                                              "decode",    "truncate",  "close",   "prefill", "token"};
constexpr const char* kActionNames[] = {"error", "throw", "segv", "abort", "exit",  "hang", "slow",   "lost",
                                        "oom",   "wrong", "nan",  "oob",   "print", "leak", "thread", "fpmode"};
constexpr const char* kStatusNames[] = {"ok",        "invalid", "unsupported", "no_memory",   "busy",
                                        "cancelled", "timeout", "data",        "device_lost", "internal"};

[[noreturn]] void refuse(std::string_view rule, const std::string& why) {
  throw std::invalid_argument("fault rule '" + std::string(rule) + "': " + why);
}

template <size_t N>
std::string list_of(const char* const (&names)[N], size_t from = 0) {
  std::string text;
  for (size_t i = from; i < N; ++i) text += (i > from ? ", " : "") + std::string(names[i]);
  return text;
}

// Index of `word` in names, from `from` on, or -1.
template <size_t N>
int find(const char* const (&names)[N], std::string_view word, size_t from = 0) {
  for (size_t i = from; i < N; ++i) {
    if (word == names[i]) return static_cast<int>(i);
  }
  return -1;
}

uint64_t number(std::string_view rule, std::string_view digits, const char* what, uint64_t lowest, uint64_t largest) {
  uint64_t n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || n < lowest || n > largest) {
    refuse(rule, std::string(what) + " '" + std::string(digits) + "' is not a number from " + std::to_string(lowest) + " to " +
                     std::to_string(largest));
  }
  return n;
}

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\n' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\n' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

// Cuts `s` at the first `separator`; the part behind it is returned, `found` says whether there was one.
std::string_view cut(std::string_view* s, char separator, bool* found) {
  const size_t at = s->find(separator);
  *found = at != std::string_view::npos;
  const std::string_view rest = *found ? s->substr(at + 1) : std::string_view();
  *s = s->substr(0, at);
  return rest;
}

// "~" p "/" seed, without the "~".
void parse_chance(std::string_view text, std::string_view chance, Rule& rule) {
  bool has_seed = false;
  const std::string_view seed = cut(&chance, '/', &has_seed);
  if (!has_seed) refuse(text, "expected '/' and a seed behind the probability, as in ~0.05/7");
  const auto [end, error] = std::from_chars(chance.data(), chance.data() + chance.size(), rule.probability);
  if (chance.empty() || error != std::errc() || end != chance.data() + chance.size() ||
      !(rule.probability > 0.0 && rule.probability <= 1.0)) {
    refuse(text, "probability '" + std::string(chance) + "' is not a number above 0, at most 1");
  }
  rule.seed = number(text, seed, "seed", 0, std::numeric_limits<uint64_t>::max());
}

void parse_when(std::string_view text, std::string_view when, Rule& rule) {
  constexpr uint64_t kMost = 1'000'000'000'000;
  if (!when.empty() && when.front() == '~') return parse_chance(text, when.substr(1), rule);
  bool is_range = false;
  std::string_view last = cut(&when, '-', &is_range);
  const bool open_end = !is_range && !when.empty() && when.back() == '+';
  if (open_end) when.remove_suffix(1);
  rule.first = number(text, when, "count", 1, kMost);
  if (is_range) rule.last = number(text, last, "count", rule.first, kMost);
  if (!is_range && !open_end) rule.last = rule.first;
}

void parse_arg(std::string_view text, std::string_view arg, bool has_arg, Rule& rule) {
  constexpr uint64_t kDay = 86'400'000;
  switch (rule.action) {
    case Action::kError: {
      const int status = find(kStatusNames, arg, 1);
      if (status > 0) {
        rule.arg = status;
      } else if (!arg.empty() && arg.find_first_not_of("0123456789") == std::string_view::npos) {
        rule.arg = static_cast<int64_t>(number(text, arg, "status", 1, 9));
      } else {
        refuse(text, "unknown status '" + std::string(arg) + "'; known: " + list_of(kStatusNames, 1) + ", 1 to 9");
      }
      return;
    }
    case Action::kExit:
      rule.arg = static_cast<int64_t>(number(text, arg, "exit code", 0, 255));
      return;
    case Action::kSlow:
      rule.arg = static_cast<int64_t>(number(text, arg, "milliseconds", 0, kDay));
      return;
    case Action::kLeak:
      rule.arg = has_arg ? static_cast<int64_t>(number(text, arg, "KiB", 1, 1 << 20)) : 1024;
      return;
    case Action::kHang:
      if (has_arg) rule.arg = static_cast<int64_t>(number(text, arg, "milliseconds", 0, kDay));
      return;
    default:
      if (has_arg) refuse(text, "action '" + std::string(kActionNames[static_cast<int>(rule.action)]) + "' takes no argument");
  }
}

// Some actions make no sense at some points; a rule that cannot do what it says is refused.
void check_pair(std::string_view text, const Rule& rule) {
  const bool damages = rule.action == Action::kWrong || rule.action == Action::kNan || rule.action == Action::kOob;
  switch (rule.point) {
    case Point::kEnumerate:
    case Point::kOpen:
    case Point::kAccepts:
    case Point::kPack:
    case Point::kFit:
    case Point::kLoad:
    case Point::kSession:
    case Point::kTruncate:
      if (damages) refuse(text, "point '" + std::string(name_of(rule.point)) + "' has no numbers to damage");
      return;
    case Point::kClose:
      if (damages || rule.action == Action::kError || rule.action == Action::kThrow || rule.action == Action::kLost ||
          rule.action == Action::kOom) {
        refuse(text, "close() answers nothing; it can only segv, abort, exit, hang, slow, print, leak, thread or fpmode");
      }
      return;
    case Point::kDecode:
      if (rule.action == Action::kNan) refuse(text, "decode() returns tokens, not numbers; use wrong");
      return;
    default:
      return;
  }
}

Rule parse_rule(std::string_view text) {
  Rule rule;
  rule.text = text;
  bool has_action = false, has_when = false, has_arg = false;
  std::string_view left = text;
  std::string_view action = cut(&left, '=', &has_action);
  const std::string_view when = cut(&left, '@', &has_when);
  const std::string_view arg = cut(&action, ':', &has_arg);
  const int point = find(kPointNames, left);
  if (point < 0) refuse(text, "unknown point '" + std::string(left) + "'; known: " + list_of(kPointNames));
  if (!has_action) refuse(text, "expected '=' and an action; known: " + list_of(kActionNames));
  const int known = find(kActionNames, action == "segfault" ? "segv" : action);
  if (known < 0) refuse(text, "unknown action '" + std::string(action) + "'; known: " + list_of(kActionNames));
  rule.point = static_cast<Point>(point);
  rule.action = static_cast<Action>(known);
  if (has_when) parse_when(text, when, rule);
  parse_arg(text, arg, has_arg, rule);
  check_pair(text, rule);
  return rule;
}

using Clock = std::chrono::steady_clock;

// Sleeps `ms` (-1: for ever). With a call: beats its heart, and stops for cancel and budget.
bn_status sleep_for(int64_t ms, const bn_call* call) {
  const auto begin = Clock::now();
  for (;;) {
    const auto passed = Clock::now() - begin;
    if (ms >= 0 && passed >= std::chrono::milliseconds(ms)) return BN_OK;
    if (is_cancelled(call)) return BN_E_CANCELLED;
    if (call != nullptr && call->budget_ns != 0 && passed >= std::chrono::nanoseconds(call->budget_ns)) return BN_E_TIMEOUT;
    beat(call);
    std::this_thread::sleep_for(std::chrono::milliseconds(ms >= 0 && ms < 5 ? ms : 5));
  }
}

// The actions that break a rule of plugin.h and go on.
void misbehave(const Rule& rule) {
  if (rule.action == Action::kPrint) {
    const std::string line = "mock: fault '" + rule.text + "'\n";
    if (write(STDOUT_FILENO, line.data(), line.size()) < 0) return;  // a closed stdout is no reason to fail
  } else if (rule.action == Action::kLeak) {
    // Touched, so that it counts as used; the volatile pointer keeps the allocation.
    void* volatile lost = std::malloc(static_cast<size_t>(rule.arg) * 1024);
    if (lost != nullptr) std::memset(lost, 1, static_cast<size_t>(rule.arg) * 1024);
  } else if (rule.action == Action::kThread) {
    std::thread([] {
      for (;;) pause();
    }).detach();
  } else {
    std::fesetround(FE_UPWARD);
  }
}

}  // namespace

const char* name_of(Point p) { return kPointNames[static_cast<int>(p)]; }

bool occurs_in(Mode mode, Point p) {
  if (p == Point::kPack) return mode == Mode::kKernels;
  if (p >= Point::kMatmul && p <= Point::kGlu) return mode != Mode::kCanned;
  if (p == Point::kFit || (p >= Point::kSession && p <= Point::kTruncate)) return mode != Mode::kKernels;
  return true;
}

bool Rule::strikes(uint64_t n) const {
  return n >= first && n <= last && (probability >= 1.0 || bn::kit::uniform_at(seed, n) < probability);
}

std::vector<Rule> parse_faults(std::string_view script) {
  std::vector<Rule> rules;
  for (bool more = !trimmed(script).empty(); more;) {
    std::string_view rule = script;
    script = cut(&rule, ';', &more);
    rules.push_back(parse_rule(trimmed(rule)));
  }
  return rules;
}

bool is_cancelled(const bn_call* call) { return call != nullptr && call->cancel != nullptr && *call->cancel != 0; }

void beat(const bn_call* call) {
  if (call != nullptr && call->heartbeat != nullptr) *call->heartbeat = *call->heartbeat + 1;
}

bn_status report(const Verdict& v, bn_error* error) {
  return bn::kit::set_error(error, v.status, "mock: fault '%s'", v.reason);
}

Faults::Faults(std::vector<Rule> rules) : rules_(std::move(rules)) {
  for (const Rule& rule : rules_) mask_ |= 1ull << static_cast<int>(rule.point);
}

Verdict Faults::at(Point p, const bn_call* call) {
  return judge(p, has_rules_for(p) ? ++count_[static_cast<int>(p)] : 0, call);
}

Verdict Faults::judge(Point p, uint64_t n, const bn_call* call) {
  Verdict v;
  for (const Rule& rule : rules_) {
    if (lost_) break;
    if (rule.point != p || !rule.strikes(n)) continue;
    v.reason = rule.text.c_str();
    switch (rule.action) {
      case Action::kError:
        v.status = static_cast<bn_status>(rule.arg);
        return v;
      case Action::kOom:
        v.status = BN_E_NO_MEMORY;
        return v;
      case Action::kThrow:
        throw std::runtime_error("mock: fault '" + rule.text + "'");
      case Action::kSegv:
        std::raise(SIGSEGV);
        break;
      case Action::kAbort:
        std::abort();
      case Action::kExit:
        std::_Exit(static_cast<int>(rule.arg));
      case Action::kHang:
        sleep_for(rule.arg, nullptr);
        break;
      case Action::kSlow:
        if ((v.status = sleep_for(rule.arg, call)) != BN_OK) return v;
        break;
      case Action::kLost:
        lost_ = true;
        break;
      case Action::kWrong:
        v.wrong = true;
        break;
      case Action::kNan:
        v.nan = true;
        break;
      case Action::kOob:
        v.oob = true;
        break;
      default:
        misbehave(rule);
    }
  }
  if (lost_) {
    v.status = BN_E_DEVICE_LOST;
    if (*v.reason == '\0') v.reason = "lost earlier";
  }
  return v;
}

Steps::Step Steps::see(uint32_t pos0, uint32_t n) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t key = static_cast<uint64_t>(pos0) << 32 | n;
  Step step;
  step.is_new = key != last_;
  step.is_prefill = pos0 == 0 || n > 1;
  last_ = key;
  if (step.is_prefill) prompt_ = static_cast<uint64_t>(pos0) + n;
  step.token = step.is_prefill || pos0 < prompt_ ? 1 : pos0 - prompt_ + 2;
  return step;
}

uint64_t Steps::following(uint64_t n) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return n < prompt_ ? 1 : n - prompt_ + 1;
}

void Steps::forget() {
  const std::lock_guard<std::mutex> lock(mutex_);
  last_ = kNone;
}

}  // namespace bn_mock
