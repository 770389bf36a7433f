// bitnet/kit/engine_arguments.hpp - what append() and decode() refuse, and rows of bn_output from logits: as every engine does
// it.
//
// Build   uses templates of the standard library: include it in sources compiled for the baseline CPU.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bitnet/engine.h"
#include "bitnet/kit/arithmetic.hpp"
#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/sampler.hpp"

namespace bn::kit {

static inline bn_status check_output(const bn_arch& arch, bn_output* out, bn_error* error) {
  if (!BN_HAS(out, hidden)) return set_error(error, BN_E_INVALID, "output: cut short");
  out->n_rows = 0;
  const uint32_t unknown = out->want & ~uint32_t{BN_OUT_LOGITS | BN_OUT_TOPK | BN_OUT_Z | BN_OUT_HIDDEN};
  if (unknown != 0) return set_error(error, BN_E_UNSUPPORTED, "output: bits 0x%x are not known to this engine", unknown);
  if ((arch.must & BN_M_NO_HEAD) != 0 && (out->want & ~uint32_t{BN_OUT_HIDDEN}) != 0) {
    return set_error(error, BN_E_INVALID, "output: the model has no output head, only hidden states");
  }
  const bool top = (out->want & BN_OUT_TOPK) != 0;
  const uint32_t most = std::min(BN_TOPK_MAX, arch.n_vocab);
  if (top && (out->top_k == 0 || out->top_k > most)) {
    return set_error(error, BN_E_INVALID, "output: top_k %u, expected 1 to %u", out->top_k, most);
  }
  const bool missing = ((out->want & BN_OUT_LOGITS) != 0 && out->logits == nullptr) ||
                       (top && (out->top_id == nullptr || out->top_logit == nullptr)) ||
                       ((out->want & BN_OUT_Z) != 0 && out->z == nullptr) ||
                       ((out->want & BN_OUT_HIDDEN) != 0 && out->hidden == nullptr);
  return missing ? set_error(error, BN_E_INVALID, "output: something is wanted and has no buffer") : BN_OK;
}

// size: tokens of the session, of n_ctx. Sets out->n_rows to 0.
static inline bn_status check_append(const bn_arch& arch, uint32_t size, uint32_t n_ctx, const int32_t* tokens, uint32_t n,
                                     bn_output* out, bn_error* error) {
  if (n == 0 || tokens == nullptr) return set_error(error, BN_E_INVALID, "append: no tokens");
  if (n > n_ctx - size) {
    return set_error(error, BN_E_INVALID, "append: %u tokens do not fit, %u of the context of %u are used", n, size, n_ctx);
  }
  for (uint32_t i = 0; i < n; ++i) {
    if (tokens[i] >= 0 && static_cast<uint32_t>(tokens[i]) < arch.n_vocab) continue;
    return set_error(error, BN_E_DATA, "append: token %d at index %u is not in the vocabulary of %u", tokens[i], i,
                     arch.n_vocab);
  }
  if (out == nullptr) return BN_OK;
  if (out->want != 0 && out->first > n) {
    return set_error(error, BN_E_INVALID, "append: rows from token %u of %u", out->first, n);
  }
  return check_output(arch, out, error);
}

// Sets what decode() reports to nothing.
static inline bn_status check_decode(const bn_arch& arch, uint32_t size, bn_decode* d, bn_error* error) {
  if (d == nullptr || !BN_HAS(d, out)) return set_error(error, BN_E_INVALID, "decode: arguments missing or cut short");
  d->n_committed = d->stopped = 0;
  if (d->max_steps != 0 && d->tokens == nullptr) return set_error(error, BN_E_INVALID, "decode: no room for tokens");
  if (size == 0) return set_error(error, BN_E_INVALID, "decode: the session is empty");
  if ((arch.must & BN_M_NO_HEAD) != 0) return set_error(error, BN_E_INVALID, "decode: the model has no output head");
  if (const bn_status bad = check_sampler(d->sampler, error); bad != BN_OK) return bad;
  return d->out == nullptr ? BN_OK : check_output(arch, d->out, error);
}

// Row `row` of an output. hidden [D]; logits [V], null when only hidden is wanted. Pooled hidden states are not rows.
static inline void write_row(const bn_arch& arch, bn_output& out, uint32_t row, const float* hidden, const float* logits) {
  const uint32_t V = arch.n_vocab;
  if ((out.want & BN_OUT_LOGITS) != 0) std::copy_n(logits, V, out.logits + uint64_t{row} * V);
  if ((out.want & BN_OUT_TOPK) != 0) {
    const std::vector<Candidate> top = top_candidates(logits, V, out.top_k);
    for (uint32_t i = 0; i < out.top_k; ++i) {
      out.top_id[uint64_t{row} * out.top_k + i] = top[i].id;
      out.top_logit[uint64_t{row} * out.top_k + i] = top[i].logit;
    }
  }
  if ((out.want & BN_OUT_Z) != 0) {
    float lane[16] = {};
    const float best = *std::max_element(logits, logits + V);
    for (uint32_t i = 0; i < V; ++i) lane[i % 16] += exp1(logits[i] - best);
    out.z[2 * uint64_t{row}] = best;
    out.z[2 * uint64_t{row} + 1] = fold16(lane);
  }
  if ((out.want & BN_OUT_HIDDEN) != 0 && arch.pooling == BN_POOL_NONE) {
    std::copy_n(hidden, arch.n_embd, out.hidden + uint64_t{row} * arch.n_embd);
  }
}

}  // namespace bn::kit
