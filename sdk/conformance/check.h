// conformance/check.h - how a test says what it found: a failure with the rule it breaks, or why it does not apply; and where
// it is, so that a crash can be placed, too.
#pragma once

#include <cstdint>
#include <string>

#include "bitnet/plugin.h"

namespace bitnet::conformance {

// Thrown by a test. An empty rule means the one the test itself is about.
struct Failure {
  std::string rule, text;
};
// Thrown by a test that has nothing to judge. no_device: this machine lacks what the plugin drives.
struct NotApplicable {
  std::string reason;
  bool no_device = false;
};

// printf into a string.
__attribute__((format(printf, 1, 2))) std::string say(const char* format, ...);

[[noreturn]] void fail(const std::string& text, const std::string& rule = "");
void expect(bool holds, const std::string& text, const std::string& rule = "");
void expect_ok(bn_status status, const char* function, const bn_error* error = nullptr);
const char* status_name(bn_status status);

// While it lives, failures and crashes of this process are reported with this line of context.
class Where {
 public:
  explicit Where(const std::string& text);
  ~Where();
  Where(const Where&) = delete;
  Where& operator=(const Where&) = delete;

 private:
  size_t outer_length_;
};

// What a test's process tells the tool; lies in memory both share, so it survives a crash.
struct Board {
  enum class State : int32_t { kRunning, kPassed, kFailed, kNotApplicable, kNoDevice };
  volatile State state = State::kRunning;
  char where[1024] = {};  // where the test is, or was when it failed
  char rule[512] = {};
  char text[16384] = {};  // of the failure, or the reason, or an answer
  char fault[512] = {};   // what lay at the address of a memory fault
};
Board& board();                 // of this process
void set_board(Board* shared);  // from now on
void note(char* to, size_t bytes, const std::string& text);
#define BN_NOTE(field, text) ::bitnet::conformance::note(field, sizeof(field), text)

// The rules of plugin.h and the definitions of kernels.h that failures quote.
namespace rule {
inline constexpr char kOneExport[] = "plugin.h rule 1: one exported symbol, bitnet_plugin_v1";
inline constexpr char kSizes[] =
    "plugin.h rule 3: a reader accepts every struct_size >= the 1.0 size, never tests for equality, touches only what is there";
inline constexpr char kUnknown[] =
    "plugin.h rule 4: unknown `must` bits, enum values and flags from bit 32 up are answered BN_E_UNSUPPORTED";
inline constexpr char kOwner[] = "plugin.h rule 5: memory is freed by the side that allocated it";
inline constexpr char kBoundary[] =
    "plugin.h rule 6: nothing is thrown, exit()ed or abort()ed across the boundary; no output, signal handler, locale, "
    "floating-point mode, environment variable or working directory is touched";
inline constexpr char kConstructors[] =
    "plugin.h rule 7: static constructors and bitnet_plugin_v1() run at baseline CPU flags and touch no device, file, thread "
    "or "
    "environment";
inline constexpr char kNoState[] =
    "plugin.h rule 9: functions of bn_kernels_v1 run concurrently and do not allocate, lock, block or keep thread state";
inline constexpr char kExact[] =
    "plugin.h rule 10: BN_EXACT_1 gives the bits of the canonical order, whatever the ranges, threads, batch or prompt split";
inline constexpr char kStop[] = "plugin.h rule 12: cancel, budget and heartbeat of bn_call are served at least every 50 ms";
inline constexpr char kRange[] = "kernels.h: nothing outside the given range of the outputs may be written";
inline constexpr char kReadable[] = "kernels.h: inputs are readable exactly as far as sizes and strides say";
inline constexpr char kAnyShape[] = "kernels.h: everybody answers at least BN_PACK for bn.t2 of any shape";
inline constexpr char kFingerprint[] = "formats.h: the fingerprint is the identity of a layout; names lie";
}  // namespace rule

}  // namespace bitnet::conformance
