// engine/session_decode.cpp - decode: on the device where it knows the sampler, else a token at a time with the host's sampler.
#include <algorithm>
#include <vector>

#include "bitnet/kit/engine_arguments.hpp"
#include "session.h"

namespace bn_cuda {

using bn::kit::set_error;

void Session::commit(bn_decode* d, int32_t token) {
  tokens_.push_back(token);
  d->tokens[d->n_committed++] = token;
  d->stopped = bn::kit::is_stop_token(*d->sampler, token) ? 1 : 0;
}

// The sum over all logits is not made where tokens are drawn on the device. The runtime asks every engine for it and goes on
// without: if it were given, every token would read the whole head and bring its logits here. Logits that are not finite are
// noticed on the device, too.
bn_status Session::check_decode_output(const bn_decode& d, bn_error* error) const {
  if (d.out == nullptr || d.out->want != BN_OUT_Z || !Head::can_draw(*d.sampler)) return BN_OK;
  return set_error(error, BN_E_UNSUPPORTED, "decode: this engine draws on the device and gives no sum over all logits");
}

bn_status Session::decode(bn_decode* d, const bn_call* call, bn_error* error) {
  Watch watch(call);
  if (const bn_status bad = bn::kit::check_decode(m_.arch, size(), d, error); bad != BN_OK) return bad;
  if (const bn_status bad = check_decode_output(*d, error); bad != BN_OK) return bad;
  const bool there = Head::can_draw(*d->sampler) && (d->out == nullptr || d->out->want == 0);
  while (d->n_committed < d->max_steps && size() < n_ctx_ && d->stopped == 0) {
    if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
    send_tokens();
    bn_status status = process(size() - 1, nullptr, watch, error);
    if (status == BN_OK) {
      const uint32_t n = std::min(d->max_steps - d->n_committed, n_ctx_ - size());
      status = there ? decode_there(d, n, watch, error) : decode_one_here(d, watch, error);
    }
    if (status != BN_OK) {
      m_.stream().drain();
      return status;
    }
  }
  return BN_OK;
}

bn_status Session::decode_there(bn_decode* d, uint32_t n, Watch& watch, bn_error* error) {
  std::vector<int32_t> drawn(n);
  const Chain::Result r = chain_->run(size() - 1, n, *d->sampler, drawn.data(), watch, error);
  for (uint32_t i = 0; i < r.n_drawn; ++i) commit(d, drawn[i]);
  n_processed_ = size() - 1;
  n_sent_ = size();  // the draw put them there
  if (r.status != BN_OK) return r.status;
  if (r.end == kNotFinite) return set_error(error, BN_E_INTERNAL, "decode: logits are not finite");
  return r.end == kNeedsFull ? decode_one_here(d, watch, error) : BN_OK;
}

// Logits to the host, rows of output, the canonical sampler.
bn_status Session::decode_one_here(bn_decode* d, Watch& watch, bn_error* error) {
  const uint32_t position = size() - 1;
  set_state(position);
  m_.step().one(s_, m_.options().stage);
  if (const bn_status stop = fetch_rows(0, 1, true, watch, error); stop != BN_OK) return stop;
  n_processed_ = size();
  if (m_.not_finite_rows()[0] != 0) return set_error(error, BN_E_INTERNAL, "decode: logits are not finite");
  if (d->out != nullptr && d->out->want != 0) {
    bn::kit::write_row(m_.arch, *d->out, d->n_committed, m_.hidden_rows(), m_.logit_rows());
    d->out->n_rows = d->n_committed + 1;
  }
  commit(d, bn::kit::sample_logits(*d->sampler, size(), m_.logit_rows(), m_.arch.n_vocab));
  return BN_OK;
}

}  // namespace bn_cuda
