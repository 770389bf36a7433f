// conformance/fp_mode.h - the floating-point mode of a thread: rounding, subnormals, traps.
#pragma once

#include <string>
#include <vector>

namespace bitnet::conformance {

struct FpMode {
  int rounding = 0;            // FE_TONEAREST, ...
  bool flush_to_zero = false;  // subnormal results become 0, subnormal inputs count as 0
  int traps = 0;               // FE_DIVBYZERO, ...
  bool operator==(const FpMode&) const = default;
};
FpMode fp_mode();  // of this thread
void set_fp_mode(const FpMode& mode);
std::string text_of(const FpMode& mode);

// The mode at construction must be there again at check(); the destructor restores it anyway.
class FpModeGuard {
 public:
  FpModeGuard();
  ~FpModeGuard();
  void check(const char* after) const;  // throws Failure (rule 6)

 private:
  FpMode before_;
};

}  // namespace bitnet::conformance
