// mock/engine.cpp - mode canned: an engine that needs no weights and says what canned.h says, with faults in front.
#include <cstring>
#include <limits>

#include "bitnet/kit/plugin.hpp"
#include "canned.h"
#include "device.h"

struct bn_model {
  bn_device* device;
  uint32_t n_vocab;
};

struct bn_session {
  bn_device* device;
  uint32_t n_vocab, n_ctx;
  std::vector<int32_t> tokens;
  bn_mock::Steps steps;
};

namespace bn_mock {
namespace {

using bn::kit::guard;
using bn::kit::set_error;

constexpr float kCannedLogit = 20.0f;

int32_t accepts(bn_device* d, const bn_tensor*) {
  int32_t answer = BN_NO;
  guard(nullptr, [&] {
    if (d->faults.at(Point::kAccepts).status == BN_OK) answer = BN_PACK;
    return BN_OK;
  });
  return answer;
}

bn_status fit(bn_device*, const bn_model_desc*, const bn_plan* plan, bn_fit* out, bn_error*) {
  out->n_ctx_fits = plan->n_ctx;
  out->bytes_weights = 0;
  out->bytes_per_token = sizeof(int32_t);
  out->est_decode_tps = out->est_prefill_tps = 0.0f;
  return BN_OK;
}

bn_status load(bn_device* d, const bn_model_desc* desc, const bn_plan*, const bn_call* call, bn_model** out, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (const Verdict v = d->faults.at(Point::kLoad, call); v.status != BN_OK) return report(v, error);
    if (desc->arch->n_vocab == 0) return set_error(error, BN_E_INVALID, "the model has no vocabulary");
    for (const int32_t id : d->tokens) {
      if (static_cast<uint32_t>(id) < desc->arch->n_vocab) continue;
      return set_error(error, BN_E_INVALID, "option tokens: id %d is not below the vocabulary's size %u", id,
                       desc->arch->n_vocab);
    }
    *out = new bn_model{d, desc->arch->n_vocab};
    return BN_OK;
  });
}

void unload(bn_model* model) { delete model; }

bn_status session_create(bn_model* model, uint32_t n_ctx, bn_session** out, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (const Verdict v = model->device->faults.at(Point::kSession); v.status != BN_OK) return report(v, error);
    *out = new bn_session{model->device, model->n_vocab, n_ctx, {}, {}};
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
void fill_logits(const bn_session& s, size_t n, const Verdict& v, float* row) {
  for (uint32_t id = 0; id < s.n_vocab; ++id) row[id] = background_logit(n, id);
  const std::vector<int32_t> said(s.tokens.begin(), s.tokens.begin() + static_cast<std::ptrdiff_t>(n));
  uint32_t next = static_cast<uint32_t>(next_token(said, s.device->tokens));
  if (v.wrong) next = (next + 1) % s.n_vocab;
  row[next] = kCannedLogit;
  if (v.nan) row[next] = std::numeric_limits<float>::quiet_NaN();
}

bn_status check_tokens(const bn_session& s, const int32_t* tokens, uint32_t n, bn_error* error) {
  if (n == 0) return set_error(error, BN_E_INVALID, "append of no tokens");
  if (s.tokens.size() + n > s.n_ctx) {
    return set_error(error, BN_E_INVALID, "%u tokens do not fit: %zu of the context of %u are used", n, s.tokens.size(),
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
  const Steps::Step step = s.steps.see(static_cast<uint32_t>(s.tokens.size()), n);
  Verdict all;
  for (const Point p : {Point::kAppend, Point::kPrefill, Point::kToken}) {
    if (p == Point::kPrefill && !step.is_prefill) continue;
    const Verdict v = faults.judge(p, p == Point::kPrefill ? ++s.device->prefills : step.token, call);
    if (v.status != BN_OK) return v;
    all.wrong |= v.wrong;
    all.nan |= v.nan;
  }
  return all;
}

bn_status append(bn_session* s, const int32_t* tokens, uint32_t n, bn_output* out, const bn_call* call, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (out != nullptr && (out->want & ~static_cast<uint32_t>(BN_OUT_LOGITS)) != 0) {
      return set_error(error, BN_E_UNSUPPORTED, "the mock returns logits and nothing else");
    }
    if (const bn_status bad = check_tokens(*s, tokens, n, error); bad != BN_OK) return bad;
    if (is_cancelled(call)) return set_error(error, BN_E_CANCELLED, "cancelled");
    beat(call);
    const Verdict v = step_verdict(*s, n, call);
    if (v.status != BN_OK) return report(v, error);
    const size_t before = s->tokens.size();
    s->tokens.insert(s->tokens.end(), tokens, tokens + n);
    if (out == nullptr || (out->want & BN_OUT_LOGITS) == 0) return BN_OK;
    out->n_rows = out->first < n ? n - out->first : 0;
    for (uint32_t row = 0; row < out->n_rows; ++row) {
      const bool last = row + 1 == out->n_rows;
      fill_logits(*s, before + out->first + row + 1, last ? v : Verdict(),
                  out->logits + static_cast<uint64_t>(row) * s->n_vocab);
    }
    return BN_OK;
  });
}

bool is_stop(const bn_sampler* sampler, int32_t token) {
  for (uint64_t i = 0; sampler != nullptr && i < sampler->n_stop; ++i) {
    if (sampler->stop[i] == token) return true;
  }
  return false;
}

// Samples nothing: what comes next is known.
bn_status decode(bn_session* s, bn_decode* d, const bn_call* call, bn_error* error) {
  d->n_committed = d->stopped = 0;
  return guard(error, [&]() -> bn_status {
    if (d->out != nullptr) return set_error(error, BN_E_UNSUPPORTED, "the mock's decode returns tokens only");
    if (s->tokens.empty()) return set_error(error, BN_E_INVALID, "decode of an empty session");
    while (d->n_committed < d->max_steps && s->tokens.size() < s->n_ctx && d->stopped == 0) {
      if (is_cancelled(call)) return set_error(error, BN_E_CANCELLED, "cancelled");
      beat(call);
      const uint64_t token = s->steps.following(s->tokens.size());
      Verdict v = s->device->faults.judge(Point::kDecode, token, call);
      const bool wrong = v.wrong;
      if (v.status == BN_OK) v = s->device->faults.judge(Point::kToken, token, call);
      if (v.status != BN_OK) return report(v, error);
      int32_t next = next_token(s->tokens, s->device->tokens);
      if (wrong || v.wrong || v.nan) next = static_cast<int32_t>((static_cast<uint32_t>(next) + 1) % s->n_vocab);
      s->tokens.push_back(next);
      d->tokens[d->n_committed++] = next;
      d->stopped = is_stop(d->sampler, next) ? 1 : 0;
    }
    return BN_OK;
  });
}

bn_status truncate(bn_session* s, uint32_t n, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (const Verdict v = s->device->faults.at(Point::kTruncate); v.status != BN_OK) return report(v, error);
    if (n > s->tokens.size()) return set_error(error, BN_E_INVALID, "truncate to %u of %zu tokens", n, s->tokens.size());
    s->tokens.resize(n);
    return BN_OK;
  });
}

// Its numbers are a pure function of the tokens, but not the model's: approx-1 with any tolerance is what that is.
constexpr bn_engine_v1 kEngine = {sizeof(bn_engine_v1),
                                  BN_APPROX_1,
                                  std::numeric_limits<float>::max(),
                                  0,
                                  accepts,
                                  fit,
                                  load,
                                  unload,
                                  session_create,
                                  session_destroy,
                                  append,
                                  decode,
                                  truncate};

}  // namespace

const bn_engine_v1* canned_engine() { return &kEngine; }

}  // namespace bn_mock
