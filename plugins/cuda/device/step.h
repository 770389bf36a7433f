// device/step.h - what the kernels of one step share: where in the sequence they are.
#pragma once

#include <cstdint>

namespace bn_cuda {

// In device memory, one per session. Because kernels read it there, one captured graph serves every step.
struct StepState {
  int32_t position;     // of the first token of this step; keys and values of [0, position) are in the cache
  uint32_t stopped;     // a stop token was drawn, or there is no room: later steps of the chain change nothing
  uint32_t n_drawn;     // tokens drawn since the host reset it
  uint32_t steps_left;  // draws that are still wanted
};

}  // namespace bn_cuda
