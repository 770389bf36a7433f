// engine/session.cpp - append: prompts in batches, rows of output; what append and decode share.
#include "session.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bitnet/kit/engine_arguments.hpp"

namespace bn_cuda {

using bn::kit::set_error;

bn_status Session::create(const Model& model, uint32_t n_ctx, std::unique_ptr<Session>* out, bn_error* error) {
  if (n_ctx == 0 || n_ctx > model.n_ctx) {
    return set_error(error, BN_E_INVALID, "session: a context of %u, the plan said %u", n_ctx, model.n_ctx);
  }
  try {
    out->reset(new Session(model, n_ctx));
    return BN_OK;
  } catch (const DeviceError& e) {
    if (trouble_of(e.code) != Trouble::kMemory) throw;
  }
  const uint64_t needed = Model::session_bytes(model.arch, model.kv_dtype, n_ctx);
  return set_error(error, BN_E_NO_MEMORY,
                   "no %.1f MB of the GPU's memory for keys and values of %u positions (-c makes it smaller)",
                   static_cast<double>(needed) / 1e6, n_ctx);
}

Session::Session(const Model& model, uint32_t n_ctx) : m_(model), n_ctx_(n_ctx) {
  Gpu& gpu = model.stream().gpu();
  const uint64_t positions = Model::kv_positions(n_ctx);
  const uint64_t kv = Model::kv_bytes_per_position(model.arch, model.kv_dtype) / 2 * positions;
  const auto lay_out = [&](Carver c) {
    s_.k = c.take<uint8_t>(kv);
    s_.v = c.take<uint8_t>(kv);
    s_.tokens = c.take<int32_t>(n_ctx);
    s_.state = c.take<StepState>(1);
    return c.used();
  };
  block_ = DeviceBlock(gpu, lay_out(Carver()));
  lay_out(Carver(block_.data()));
  s_.layer_bytes = kv / model.arch.n_layers;
  s_.kv_stride_head = positions * model.arch.head_dim;
  token_block_ = HostBlock(gpu, 4ull * n_ctx);
  if (!model.has(BN_M_NO_HEAD)) chain_ = std::make_unique<Chain>(model, s_, n_ctx);
}

void Session::forget(uint32_t n) {
  tokens_.resize(n);
  n_processed_ = std::min(n_processed_, n);
  n_sent_ = std::min(n_sent_, n);
}

// Nothing that uses the pinned copy is queued when this is called.
void Session::send_tokens() {
  if (n_sent_ == size()) return;
  int32_t* const room = reinterpret_cast<int32_t*>(token_block_.data()) + n_sent_;
  std::copy(tokens_.begin() + n_sent_, tokens_.end(), room);
  m_.stream().upload(s_.tokens + n_sent_, room, 4ull * (size() - n_sent_));
  n_sent_ = size();
}

bn_status Session::truncate(uint32_t n_tokens, bn_error* error) {
  if (n_tokens > size()) return set_error(error, BN_E_INVALID, "truncate: to %u of %u tokens", n_tokens, size());
  forget(n_tokens);
  return BN_OK;
}

void Session::set_state(uint32_t position) {
  const SetStateArgs args{s_.state, {static_cast<int32_t>(position), kGoingOn, 0, 0}};
  m_.stream().launch(set_state_kernel(), set_state_shape(), args);
}

// All n tokens are taken, or none.
bn_status Session::append(const int32_t* tokens, uint32_t n, bn_output* out, const bn_call* call, bn_error* error) {
  Watch watch(call);
  if (const bn_status bad = bn::kit::check_append(m_.arch, size(), n_ctx_, tokens, n, out, error); bad != BN_OK) return bad;
  if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
  const uint32_t before = size();
  const bool wants_rows = out != nullptr && out->want != 0 && out->first < n;
  tokens_.insert(tokens_.end(), tokens, tokens + n);
  send_tokens();
  bn_status status = BN_OK;
  if (wants_rows) {
    Rows rows{*out, before + out->first, {m_.arch.pooling, m_.arch.n_embd, m_.has(BN_M_L2_POOLED)}};
    status = process(size(), &rows, watch, error);
    const bool pooled = (out->want & BN_OUT_HIDDEN) != 0 && m_.arch.pooling != BN_POOL_NONE;
    if (status == BN_OK && pooled) rows.pooler.write(out->hidden);
  } else {
    status = process(size() - 1, nullptr, watch, error);
  }
  m_.stream().drain();
  if (status != BN_OK) {
    forget(before);
    return status;
  }
  if (out != nullptr && out->want != 0) out->n_rows = n - out->first;
  return BN_OK;
}

// Two batches are queued: the device has work while the host looks.
bn_status Session::process(uint32_t end, Rows* rows, Watch& watch, bn_error* error) {
  Stream& stream = m_.stream();
  bool queued = false;
  Stream::Ticket before = 0;
  while (n_processed_ < end) {
    const uint32_t position = n_processed_, n = std::min(m_.workspace().n_batch, end - position);
    set_state(position);
    m_.step().plain(s_, n);
    const Stream::Ticket ticket = stream.record();
    bn_status stop = BN_OK;
    if (rows != nullptr && position + n > rows->first) {
      stop = write_rows(position, n, *rows, watch, error);
    } else if (queued) {
      stop = stream.wait(before, &watch, error);
    }
    if (stop != BN_OK) return stop;
    before = ticket, queued = true;
    n_processed_ += n;
  }
  return queued ? stream.wait(before, &watch, error) : BN_OK;
}

// Rows of the batch of n tokens at `position`, a few at a time.
bn_status Session::write_rows(uint32_t position, uint32_t n, Rows& rows, Watch& watch, bn_error* error) {
  const bool logits = (rows.out.want & ~uint32_t{BN_OUT_HIDDEN}) != 0;
  const bool pooled = (rows.out.want & BN_OUT_HIDDEN) != 0 && m_.arch.pooling != BN_POOL_NONE;
  const uint32_t most = logits ? kLogitRows : kHiddenRows;
  for (uint32_t at = rows.first > position ? rows.first - position : 0; at < n;) {
    const uint32_t some = std::min(most, n - at);
    if (const bn_status stop = fetch_rows(at, some, logits, watch, error); stop != BN_OK) return stop;
    for (uint32_t i = 0; i < some; ++i) {
      const float* const hidden = m_.hidden_rows() + uint64_t{i} * m_.arch.n_embd;
      const float* const row = logits ? m_.logit_rows() + uint64_t{i} * m_.arch.n_vocab : nullptr;
      bn::kit::write_row(m_.arch, rows.out, position + at + i - rows.first, hidden, row);
      if (pooled) rows.pooler.add(hidden);
    }
    at += some;
  }
  return BN_OK;
}

bn_status Session::fetch_rows(uint32_t first, uint32_t n, bool logits, Watch& watch, bn_error* error) {
  Stream& stream = m_.stream();
  const Workspace& b = m_.workspace();
  const Head head(m_, false);
  head.hidden(first, n);
  stream.download(m_.hidden_rows(), b.hidden, 4ull * n * m_.arch.n_embd);
  if (logits) {
    head.logits(0, n);
    stream.download(m_.logit_rows(), b.logits, 4ull * n * m_.arch.n_vocab);
    stream.download(m_.not_finite_rows(), b.not_finite, 4ull * n);
    stream.fill(b.not_finite, 0, 4ull * n);
  }
  return stream.wait(stream.record(), &watch, error);
}

}  // namespace bn_cuda
