// conformance/fp_mode.cpp - see fp_mode.h.
#include "fp_mode.h"

#include <cfenv>

#include "check.h"

namespace bitnet::conformance {
namespace {

#if defined(__x86_64__)
constexpr unsigned kFlushBits = 0x8040;  // MXCSR: flush to zero, denormals are zero
unsigned& flush_word(fenv_t& e) { return e.__mxcsr; }
#elif defined(__aarch64__)
constexpr unsigned kFlushBits = 1u << 24;  // FPCR: flush to zero
unsigned& flush_word(fenv_t& e) { return e.__fpcr; }
#endif

}  // namespace

FpMode fp_mode() {
  fenv_t e;
  fegetenv(&e);
  return {fegetround(), (flush_word(e) & kFlushBits) != 0, fegetexcept()};
}

void set_fp_mode(const FpMode& mode) {
  fenv_t e;
  fegetenv(&e);
  flush_word(e) = mode.flush_to_zero ? flush_word(e) | kFlushBits : flush_word(e) & ~kFlushBits;
  fesetenv(&e);
  fesetround(mode.rounding);
  fedisableexcept(FE_ALL_EXCEPT);
  feenableexcept(mode.traps);
}

std::string text_of(const FpMode& mode) {
  const char* rounding = mode.rounding == FE_TONEAREST  ? "to nearest"
                         : mode.rounding == FE_UPWARD   ? "upward"
                         : mode.rounding == FE_DOWNWARD ? "downward"
                                                        : "toward zero";
  return std::string("rounding ") + rounding + ", subnormals " + (mode.flush_to_zero ? "flushed to zero" : "kept") +
         (mode.traps != 0 ? ", traps on" : "");
}

FpModeGuard::FpModeGuard() : before_(fp_mode()) {}
FpModeGuard::~FpModeGuard() { set_fp_mode(before_); }

void FpModeGuard::check(const char* after) const {
  const FpMode now = fp_mode();
  expect(
      now == before_,
      say("the floating-point mode changed in %s: before %s; after %s", after, text_of(before_).c_str(), text_of(now).c_str()),
      rule::kBoundary);
}

}  // namespace bitnet::conformance
