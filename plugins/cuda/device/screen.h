// device/screen.h - the kernels of screening as screen_steps() puts them together.
#pragma once

#include "head.h"

namespace bn_cuda {

constexpr uint32_t kGroupRows = 32;

inline uint32_t screen_groups(uint32_t n_vocab) { return (n_vocab + kGroupRows - 1) / kGroupRows; }
inline uint32_t padded_cols(uint32_t n_embd, uint32_t unit) { return (n_embd + unit - 1) / unit * unit; }

const Kernel& screen_vector_kernel();
Shape screen_vector_shape();
const Kernel& screen_bounds_kernel();
Shape screen_bounds_shape(const ScreenArgs& a);
const Kernel& screen_candidates_kernel(uint32_t dtype);
Shape screen_candidates_shape(const ScreenArgs& a);
const Kernel& screen_sort_kernel();
Shape screen_sort_shape();

}  // namespace bn_cuda
