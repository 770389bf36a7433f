// backend/process_state.h - what a plugin must leave alone in the process that loads it, looked at before and after.
//
// Part of bn_probe: in the probe's process nothing else happens meanwhile.
// Source   rules 6 and 7 of sdk/include/bitnet/plugin.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace bitnet::backend {

class ProcessState {
 public:
  // As it is now.
  ProcessState();
  // What is different now: "started a thread", "changed the floating-point modes (...)"; empty: nothing.
  std::string change_since() const;
  // Of this process; from now on another number is no change.
  void accept_threads() { any_threads_ = true; }

 private:
  uint64_t float_modes_;
  size_t threads_;
  std::string locale_, folder_;
  std::array<const void*, 65> handlers_;
  bool any_threads_ = false;
};

// Ends every process that this one, or a child of its, has left running. After become_reaper() these include orphans.
void become_reaper();
void end_children();

}  // namespace bitnet::backend
