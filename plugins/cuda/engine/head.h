// engine/head.h - the end of a step: hidden states, logits, the best few of them, the draw. Only queues work.
#pragma once

#include "model.h"

namespace bn_cuda {

// What the draw of a session writes to; pinned memory as kernels see it.
struct DrawTarget {
  const int32_t* stop;
  int32_t* ring;
  uint32_t *ring_count, *ring_end;
  uint32_t n_ctx;
};

class Head {
 public:
  Head(const Model& model, bool early) : m_(model), early_(early) {}

  // hidden[0, n) of the workspace = the output norm of x[first, first + n). n at most kHiddenRows.
  void hidden(uint32_t first, uint32_t n) const;
  // logits[0, n) = head of hidden[first, first + n). n at most kLogitRows.
  void logits(uint32_t first, uint32_t n) const;
  // The token behind x[0], by the sampler: best candidates, draw, position + 1.
  void draw(const Sequence& s, const bn_sampler& sampler, const DrawTarget& target) const;
  // Does draw() know this sampler? Otherwise the host samples from all logits.
  static bool can_draw(const bn_sampler& sampler) { return sampler.temperature <= 0.0f || sampler.top_k != 0; }

 private:
  HeadArgs head_args(uint32_t first, uint32_t n) const;
  bool best(uint32_t k) const;  // true: screened

  template <class Args>
  void launch(const Kernel& kernel, const Shape& shape, const Args& args) const {
    m_.stream().launch(kernel, shape, args, early_);
  }

  const Model& m_;
  const bool early_;
};

}  // namespace bn_cuda
