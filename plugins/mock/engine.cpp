// mock/engine.cpp - the engine tier: canned text (canned.h) or the real model (the kit's reference engine), faults in front.
#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/reference_engine.hpp"
#include "canned.h"
#include "device.h"

struct bn_model {
  bn_device* device;
  uint32_t n_vocab;
  std::unique_ptr<bn::kit::ReferenceModel> reference;  // faithful; NULL: canned
};

struct bn_session {
  bn_device* device;
  uint32_t n_vocab, n_ctx;
  std::unique_ptr<bn::kit::ReferenceSession> reference;  // faithful
  std::vector<int32_t> canned;                           // the tokens, canned
  bn_mock::Steps steps;
  // The token append() asked the rules about last, and the damage they want: decode() does not ask again.
  uint64_t judged = 0;
  bn_mock::Verdict judged_verdict = {};

  const std::vector<int32_t>& tokens() const { return reference ? reference->tokens() : canned; }
};

namespace bn_mock {
namespace {

using bn::kit::guard;
using bn::kit::ReferenceModel;
using bn::kit::ReferenceSession;
using bn::kit::set_error;

constexpr float kCannedLogit = 20.0f;

int32_t accepts(bn_device* d, const bn_tensor* w) {
  int32_t answer = BN_NO;
  guard(nullptr, [&] {
    if (d->faults.at(Point::kAccepts).status == BN_OK) {
      answer = d->mode == Mode::kEngine ? ReferenceModel::accepts(w) : static_cast<int32_t>(BN_PACK);
    }
    return BN_OK;
  });
  return answer;
}

bn_status fit(bn_device* d, const bn_model_desc* desc, const bn_plan* plan, bn_fit* out, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (const Verdict v = d->faults.at(Point::kFit); v.status != BN_OK) return report(v, error);
    if (d->mode == Mode::kEngine) return ReferenceModel::fit(desc, plan, out, error);
    out->n_ctx_fits = plan->n_ctx;
    out->bytes_weights = 0;
    out->bytes_per_token = sizeof(int32_t);
    out->est_decode_tps = out->est_prefill_tps = 0.0f;
    return BN_OK;
  });
}

bn_status load(bn_device* d, const bn_model_desc* desc, const bn_plan* plan, const bn_call* call, bn_model** out,
               bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (const Verdict v = d->faults.at(Point::kLoad, call); v.status != BN_OK) return report(v, error);
    if (desc->arch->n_vocab == 0) return set_error(error, BN_E_INVALID, "the model has no vocabulary");
    for (const int32_t id : d->tokens) {
      if (static_cast<uint32_t>(id) < desc->arch->n_vocab) continue;
      return set_error(error, BN_E_INVALID, "option tokens: id %d is not below the vocabulary's size %u", id,
                       desc->arch->n_vocab);
    }
    std::unique_ptr<ReferenceModel> reference;
    if (d->mode == Mode::kEngine) {
      const bn_status bad = ReferenceModel::load(desc, plan, call, d->kernels, d, &reference, error);
      if (bad != BN_OK) return bad;
    }
    *out = new bn_model{d, desc->arch->n_vocab, std::move(reference)};
    return BN_OK;
  });
}

void unload(bn_model* model) { delete model; }

bn_status session_create(bn_model* model, uint32_t n_ctx, bn_session** out, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (const Verdict v = model->device->faults.at(Point::kSession); v.status != BN_OK) return report(v, error);
    std::unique_ptr<ReferenceSession> reference;
    if (model->reference != nullptr) {
      const bn_status bad = ReferenceSession::create(*model->reference, n_ctx, &reference, error);
      if (bad != BN_OK) return bad;
    }
    *out = new bn_session{model->device, model->n_vocab, n_ctx, std::move(reference), {}, {}};
    return BN_OK;
  });
}

void session_destroy(bn_session* session) { delete session; }

// A small number for every (position, id): logits look alive, no two rows are equal, none comes near the canned one.
float background_logit(uint64_t position, uint32_t id) {
  const uint64_t h = ((position + 1) * 0x9E3779B97F4A7C15ull) ^ (static_cast<uint64_t>(id) * 0xD1B54A32D192ED03ull);
  return static_cast<float>(static_cast<int32_t>((h ^ h >> 29) >> 8 & 0xFFFF) - 0x8000) * 0x1p-15f;
}

// Logits after the first n tokens of the session.
void fill_logits(const bn_session& s, size_t n, float* row) {
  for (uint32_t id = 0; id < s.n_vocab; ++id) row[id] = background_logit(n, id);
  const std::vector<int32_t> said(s.canned.begin(), s.canned.begin() + static_cast<std::ptrdiff_t>(n));
  row[next_token(said, s.device->tokens)] = kCannedLogit;
}

// append() of the canned engine, after all checks.
void append_canned(bn_session& s, const int32_t* tokens, uint32_t n, bn_output* out) {
  const size_t before = s.canned.size();
  s.canned.insert(s.canned.end(), tokens, tokens + n);
  if (out == nullptr || (out->want & BN_OUT_LOGITS) == 0) return;
  out->n_rows = out->first < n ? n - out->first : 0;
  for (uint32_t row = 0; row < out->n_rows; ++row) {
    fill_logits(s, before + out->first + row + 1, out->logits + static_cast<uint64_t>(row) * s.n_vocab);
  }
}

bn_status check_append(const bn_session& s, const int32_t* tokens, uint32_t n, const bn_output* out, bn_error* error) {
  if (s.reference == nullptr && out != nullptr && (out->want & ~static_cast<uint32_t>(BN_OUT_LOGITS)) != 0) {
    return set_error(error, BN_E_UNSUPPORTED, "the canned engine returns logits and nothing else");
  }
  if (n == 0) return set_error(error, BN_E_INVALID, "append of no tokens");
  if (s.tokens().size() + n > s.n_ctx) {
    return set_error(error, BN_E_INVALID, "%u tokens do not fit: %zu of the context of %u are used", n, s.tokens().size(),
                     s.n_ctx);
  }
  for (uint32_t i = 0; i < n; ++i) {
    if (tokens[i] >= 0 && static_cast<uint32_t>(tokens[i]) < s.n_vocab) continue;
    return set_error(error, BN_E_DATA, "token %d at index %u is not in the vocabulary of %u", tokens[i], i, s.n_vocab);
  }
  return BN_OK;
}

// The rules for a step of n tokens that gives the logits of one generated token.
Verdict step_verdict(bn_session& s, uint32_t n, const bn_call* call) {
  Faults& faults = s.device->faults;
  s.steps.forget();  // every append is a step
  const Steps::Step step = s.steps.see(static_cast<uint32_t>(s.tokens().size()), n);
  Verdict all;
  for (const Point p : {Point::kAppend, Point::kPrefill, Point::kToken}) {
    if (p == Point::kPrefill && !step.is_prefill) continue;
    const Verdict v = faults.judge(p, p == Point::kPrefill ? ++s.device->prefills : step.token, call);
    if (v.status != BN_OK) return v;
    all.add_damage(v);
  }
  s.judged = step.token;
  s.judged_verdict = all;
  return all;
}

// Damages the last row. wrong: the next token is off by one; nan: the best logit is no number; oob: one number behind.
void damage(const Verdict& v, const bn_output& out, uint32_t n_vocab) {
  if (out.n_rows == 0 || (!v.wrong && !v.nan && !v.oob)) return;
  const uint64_t last = out.n_rows - 1;
  const float kNan = std::numeric_limits<float>::quiet_NaN();
  if ((out.want & BN_OUT_LOGITS) != 0) {
    float* row = out.logits + last * n_vocab;
    if (v.wrong) std::rotate(row, row + n_vocab - 1, row + n_vocab);
    if (v.nan) *std::max_element(row, row + n_vocab) = kNan;
    if (v.oob) row[n_vocab] = 1.0f;
  }
  if ((out.want & BN_OUT_TOPK) != 0) {
    int32_t* id = out.top_id + last * out.top_k;
    for (uint32_t i = 0; v.wrong && i < out.top_k; ++i) id[i] = (id[i] + 1) % static_cast<int32_t>(n_vocab);
    if (v.nan) out.top_logit[last * out.top_k] = kNan;
    if (v.oob) out.top_logit[(last + 1) * out.top_k] = 1.0f;
  }
  if ((out.want & BN_OUT_Z) != 0 && v.nan) out.z[2 * last] = kNan;
}

bn_status append(bn_session* s, const int32_t* tokens, uint32_t n, bn_output* out, const bn_call* call, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (const bn_status bad = check_append(*s, tokens, n, out, error); bad != BN_OK) return bad;
    if (is_cancelled(call)) return set_error(error, BN_E_CANCELLED, "cancelled");
    beat(call);
    const Verdict v = step_verdict(*s, n, call);
    if (v.status != BN_OK) return report(v, error);
    if (s->reference == nullptr) {
      append_canned(*s, tokens, n, out);
    } else if (const bn_status bad = s->reference->append(tokens, n, out, call, error); bad != BN_OK) {
      return bad;
    }
    if (out != nullptr) damage(v, *out, s->n_vocab);
    return BN_OK;
  });
}

// What the rules say about the token that comes next.
Verdict token_verdict(bn_session& s, const bn_call* call) {
  const uint64_t token = s.steps.following(s.tokens().size());
  Verdict v = s.device->faults.judge(Point::kDecode, token, call);
  if (v.status != BN_OK) return v;
  const Verdict of_token = token == s.judged ? s.judged_verdict : s.device->faults.judge(Point::kToken, token, call);
  if (of_token.status != BN_OK) return of_token;
  v.add_damage(of_token);
  return v;
}

// One token of the canned engine. It samples nothing: what comes next is known.
bn_status decode_canned(bn_session& s, bn_decode& one, const Verdict& v) {
  int32_t next = next_token(s.canned, s.device->tokens);
  if (v.wrong || v.nan) next = static_cast<int32_t>((static_cast<uint32_t>(next) + 1) % s.n_vocab);
  s.canned.push_back(next);
  one.tokens[one.n_committed++] = next;
  const bn_sampler* sampler = one.sampler;
  one.stopped = sampler != nullptr && sampler->n_stop != 0 && bn::kit::is_stop_token(*sampler, next) ? 1 : 0;
  return BN_OK;
}

// One token of the faithful engine. An engine that damages its numbers notices NaN, and samples another token from wrong ones.
bn_status decode_faithful(bn_session& s, bn_decode& one, const Verdict& v, const bn_call* call, bn_error* error) {
  if (v.nan) return set_error(error, BN_E_INTERNAL, "mock: logits are not finite");
  const bn_status status = s.reference->decode(&one, call, error);
  if (status != BN_OK || !v.wrong || one.n_committed == 0) return status;
  one.tokens[0] = (one.tokens[0] + 1) % static_cast<int32_t>(s.n_vocab);
  one.stopped = bn::kit::is_stop_token(*one.sampler, one.tokens[0]) ? 1 : 0;
  const bn_status back = s.reference->truncate(static_cast<uint32_t>(s.tokens().size()) - 1, error);
  return back != BN_OK ? back : s.reference->append(one.tokens, 1, nullptr, nullptr, error);
}

// The output of step n of a decode: its row alone.
bn_output row_of(const bn_output& all, uint32_t n, uint32_t n_vocab, uint32_t n_embd) {
  bn_output row = all;
  if (row.logits != nullptr) row.logits += static_cast<uint64_t>(n) * n_vocab;
  if (row.top_id != nullptr) row.top_id += static_cast<uint64_t>(n) * row.top_k;
  if (row.top_logit != nullptr) row.top_logit += static_cast<uint64_t>(n) * row.top_k;
  if (row.z != nullptr) row.z += 2ull * n;
  if (row.hidden != nullptr) row.hidden += static_cast<uint64_t>(n) * n_embd;
  return row;
}

// Steps of one token each, because every token has rules of its own.
bn_status decode(bn_session* s, bn_decode* d, const bn_call* call, bn_error* error) {
  d->n_committed = d->stopped = 0;
  if (d->out != nullptr) d->out->n_rows = 0;
  return guard(error, [&]() -> bn_status {
    if (s->reference == nullptr && d->out != nullptr) {
      return set_error(error, BN_E_UNSUPPORTED, "the canned engine's decode returns tokens only");
    }
    if (s->tokens().empty()) return set_error(error, BN_E_INVALID, "decode of an empty session");
    bn::kit::CallWatch watch(call);
    while (d->n_committed < d->max_steps && s->tokens().size() < s->n_ctx && d->stopped == 0) {
      if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
      const Verdict v = token_verdict(*s, call);
      if (v.status != BN_OK) return report(v, error);
      bn_output row{};
      bn_decode one{sizeof(bn_decode), 1, d->sampler, d->tokens + d->n_committed, 0, 0, nullptr};
      if (d->out != nullptr) {
        row = row_of(*d->out, d->n_committed, s->n_vocab, s->reference->n_embd());
        one.out = &row;
      }
      const bn_status status = s->reference == nullptr ? decode_canned(*s, one, v) : decode_faithful(*s, one, v, call, error);
      if (status != BN_OK) return status;
      if (one.n_committed == 0) break;
      if (v.oob) d->tokens[d->max_steps] = 1;
      d->stopped = one.stopped;
      ++d->n_committed;
      if (d->out != nullptr) d->out->n_rows = d->n_committed;
    }
    return BN_OK;
  });
}

bn_status truncate(bn_session* s, uint32_t n, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (const Verdict v = s->device->faults.at(Point::kTruncate); v.status != BN_OK) return report(v, error);
    s->judged = 0;
    if (s->reference != nullptr) return s->reference->truncate(n, error);
    if (n > s->canned.size()) return set_error(error, BN_E_INVALID, "truncate to %u of %zu tokens", n, s->canned.size());
    s->canned.resize(n);
    return BN_OK;
  });
}

constexpr bn_engine_v1 make_table(uint32_t numerics, float tolerance) {
  return {sizeof(bn_engine_v1), numerics,        tolerance, 0,      accepts, fit, load, unload,
          session_create,       session_destroy, append,    decode, truncate};
}

// The canned numbers are a pure function of the tokens, but not the model's: approx-1 with any tolerance is what that is.
constexpr bn_engine_v1 kCanned = make_table(BN_APPROX_1, std::numeric_limits<float>::max());
constexpr bn_engine_v1 kFaithful = make_table(BN_EXACT_1, 0.0f);

}  // namespace

const bn_engine_v1* canned_engine() { return &kCanned; }
const bn_engine_v1* faithful_engine() { return &kFaithful; }

}  // namespace bn_mock
