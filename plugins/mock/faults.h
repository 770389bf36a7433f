// mock/faults.h - the fault grammar: which call goes wrong, when, and how. README.md shows it with examples.
//
//   script = rule { ";" rule }        rule = point [ "@" when ] "=" action [ ":" arg ]
//   when   = n | n "+" | n "-" m      counted from 1; absent: every time
//          | "~" p "/" seed           each count with probability p
//
// Threads: at() and judge() may be called concurrently.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "bitnet/engine.h"

namespace bn_mock {

// Where a rule can apply. What is counted stands behind each.
enum class Point {
  kEnumerate,  // calls in this process (a scan makes at least two: the last one ends it)
  kOpen,       // calls in this process
  kAccepts,    // from here on: since open(). Calls
  kPack,       // calls
  kMatmul,     // calls; a call is one range of rows
  kDense,      // calls
  kNorm,       // calls
  kRope,       // calls
  kAttention,  // calls
  kGlu,        // calls
  kFit,        // calls
  kLoad,       // calls; kernels tier: once, at the end of open()
  kSession,    // calls of session_create
  kAppend,     // generated tokens: the append whose logits are those of the n-th token
  kDecode,     // generated tokens: the step inside decode that commits the n-th token
  kTruncate,   // calls
  kClose,      // calls
  kPrefill,    // steps of more than one token, or at position 0
  kToken       // generated tokens, see Steps
};
inline constexpr int kPoints = static_cast<int>(Point::kToken) + 1;

enum class Action {
  kError,
  kThrow,
  kSegv,
  kAbort,
  kExit,
  kHang,
  kSlow,
  kLost,
  kOom,
  kWrong,
  kNan,
  kOob,
  kPrint,
  kLeak,
  kThread,
  kFpmode
};

// What an open mock offers: canned text as an engine; the real model as kernels or as an engine.
enum class Mode { kCanned, kKernels, kEngine };

struct Rule {
  Point point = Point::kToken;
  uint64_t first = 1, last = std::numeric_limits<uint64_t>::max();
  double probability = 1.0;  // below 1: of each count, by a number that depends on seed and count alone
  uint64_t seed = 0;
  Action action = Action::kError;
  int64_t arg = -1;  // status, exit code, milliseconds or KiB; -1: none (hang: for ever)
  std::string text;  // as written

  bool strikes(uint64_t n) const;
};

// Throws std::invalid_argument naming the word that was not understood and the words that would have been.
std::vector<Rule> parse_faults(std::string_view script);

bool occurs_in(Mode, Point);
const char* name_of(Point);

// What a call has to do after its rules were asked.
struct Verdict {
  bn_status status = BN_OK;         // not BN_OK: answer this
  bool wrong = false, nan = false;  // compute, then damage the result
  bool oob = false;                 // and write one element behind it
  const char* reason = "";          // text of the rule; lives as long as the Faults

  // Takes over the damage that another verdict asks for.
  void add_damage(const Verdict& other) { wrong |= other.wrong, nan |= other.nan, oob |= other.oob; }
};

// Services of bn_call, which may be NULL: has the host asked to stop; I am alive.
bool is_cancelled(const bn_call*);
void beat(const bn_call*);

// Fills *error from a verdict that is not BN_OK; returns its status.
bn_status report(const Verdict&, bn_error*);

class Faults {
 public:
  explicit Faults(std::vector<Rule> rules);

  bool has_rules_for(Point p) const { return (mask_ >> static_cast<int>(p) & 1) != 0; }

  // Counts one call at this point, then as judge().
  Verdict at(Point, const bn_call* call = nullptr);
  // Carries out the rules for event number n: sleeps, throws std::runtime_error, ends the process, or says what to answer.
  // call: cancel and budget end a `slow` early. After `lost` every verdict is BN_E_DEVICE_LOST.
  Verdict judge(Point, uint64_t n, const bn_call* call = nullptr);

 private:
  std::vector<Rule> rules_;
  uint64_t mask_ = 0;
  std::atomic<uint64_t> count_[kPoints] = {};
  std::atomic<bool> lost_ = false;
};

// Numbers the generated tokens of one sequence from the steps it makes. A step of several tokens, or at position 0, is
// prefill; its logits are those of token 1. The step that appends one token at position p >= prompt length gives token
// p - prompt length + 2. The count starts again with every prefill.
class Steps {
 public:
  struct Step {
    bool is_new = false;  // false: another range or layer of the step seen last
    bool is_prefill = false;
    uint64_t token = 0;  // number of the token whose logits this step gives
  };
  // One or more calls per step of n tokens at position pos0.
  Step see(uint32_t pos0, uint32_t n);
  // Number of the token that follows n tokens.
  uint64_t following(uint64_t n);
  // The step seen last is over: what comes is a new one even at the same position.
  void forget();

 private:
  std::mutex mutex_;
  uint64_t last_ = kNone;
  uint64_t prompt_ = 0;
  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
};

}  // namespace bn_mock
