// engine/head.cpp - kernels of the head in their order.
#include "head.h"

#include <algorithm>

namespace bn_cuda {

void Head::hidden(uint32_t first, uint32_t n) const {
  const Workspace& b = m_.workspace();
  const uint32_t D = m_.arch.n_embd;
  const NormArgs args{b.x + uint64_t{first} * b.x_stride,
                      m_.weights().output_norm,
                      b.hidden,
                      nullptr,
                      nullptr,
                      nullptr,
                      D,
                      b.x_stride,
                      D,
                      0,
                      m_.arch.norm_eps,
                      m_.options().fast};
  launch(norm_kernel(), norm_shape(n, D), args);
}

HeadArgs Head::head_args(uint32_t first, uint32_t n) const {
  const DeviceTable& t = m_.weights().head;
  const Workspace& b = m_.workspace();
  return {t.rows,
          t.row_scales,
          b.hidden + uint64_t{first} * m_.arch.n_embd,
          b.logits,
          b.not_finite,
          t.dtype,
          m_.arch.n_vocab,
          m_.arch.n_embd,
          t.n_row_scales,
          n};
}

void Head::logits(uint32_t first, uint32_t n) const {
  const HeadArgs args = head_args(first, n);
  launch(head_kernel(args), head_shape(args), args);
}

// The best k of the token whose hidden state is the first: by screening where the model has the compact head, else from all
// logits.
bool Head::best(uint32_t k) const {
  const Workspace& b = m_.workspace();
  const uint32_t V = m_.arch.n_vocab;
  if (!m_.screened() || !can_screen(m_.weights().head.dtype, V, m_.arch.n_embd, k)) {
    logits(0, 1);
    const TopArgs top{b.logits, b.top_id, b.top_logit, V, k};
    launch(top_kernel(), top_shape(1), top);
    return false;
  }
  ScreenArgs args{};
  args.head = head_args(0, 1);
  args.screen = m_.screen();
  args.top_id = b.top_id, args.top_logit = b.top_logit;
  args.overflow = m_.overflow();
  args.k = k;
  args.estimates = m_.options().fast;
  screen_layout(&args, m_.screen_work());
  TopArgs groups{};
  ScreenStep steps[kScreenSteps];
  const uint32_t n = screen_steps(&args, &groups, steps);
  for (uint32_t i = 0; i < n; ++i) m_.stream().launch_raw(*steps[i].kernel, steps[i].shape, steps[i].args, early_);
  return true;
}

void Head::draw(const Sequence& s, const bn_sampler& sampler, const DrawTarget& target) const {
  const Workspace& b = m_.workspace();
  const uint32_t k = sampler.temperature <= 0.0f ? 1 : std::min(sampler.top_k, m_.arch.n_vocab);
  hidden(0, 1);
  const bool screened = best(k);
  DrawArgs draw{};
  draw.top_id = b.top_id, draw.top_logit = b.top_logit;
  draw.overflow = screened ? m_.overflow() : nullptr;
  draw.not_finite = b.not_finite;
  draw.stop = target.stop, draw.n_stop = static_cast<uint32_t>(sampler.n_stop);
  draw.tokens = s.tokens, draw.state = s.state;
  draw.ring = target.ring, draw.ring_count = target.ring_count, draw.ring_end = target.ring_end;
  draw.seed = sampler.seed;
  draw.k = k, draw.n_ctx = target.n_ctx;
  draw.temperature = sampler.temperature, draw.top_p = sampler.top_p, draw.min_p = sampler.min_p;
  launch(draw_kernel(), draw_shape(draw), draw);
}

}  // namespace bn_cuda
