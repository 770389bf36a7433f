// engine/engine.cpp - the token list, the decode loop, and the choice of the tier a plugin offers.
#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "bitnet/kit/sampler.hpp"
#include "engine/composed_engine.h"
#include "engine/plugin_engine.h"
#include "engine/rows.h"

namespace bitnet::engine {

using backend::BackendError;

void Engine::process_pending(std::span<const int32_t> more, const Output* output, Pulse& pulse) {
  std::vector<int32_t> joined(tokens_.begin() + n_processed_, tokens_.end());
  const uint32_t pending = static_cast<uint32_t>(joined.size());
  joined.insert(joined.end(), more.begin(), more.end());
  if (joined.empty()) return;
  Output shifted = output != nullptr ? *output : Output{};
  shifted.first += pending;
  process(joined, n_processed_, output != nullptr ? &shifted : nullptr, pulse);
  tokens_.insert(tokens_.end(), more.begin(), more.end());
  n_processed_ = size();
}

void Engine::append(std::span<const int32_t> tokens, const Output* output, Pulse& pulse) {
  const uint32_t n = static_cast<uint32_t>(tokens.size());
  if (n > n_ctx_ - size()) {
    fail(ErrorKind::kUsage, "{} tokens do not fit: the context holds {}, {} are used", n, n_ctx_, size());
  }
  if (n == 0) return;
  if (output == nullptr || output->first >= n) {
    process_pending(tokens.first(n - 1), nullptr, pulse);
    tokens_.push_back(tokens.back());
    return;
  }
  process_pending(tokens, output, pulse);
  for (uint32_t row = 0; output->logits != nullptr && row < n - output->first; ++row) {
    check_row(output->logits + static_cast<uint64_t>(row) * n_vocab_, n_vocab_);
  }
  if (output->hidden != nullptr) check_hidden({output->hidden, hidden_size(n - output->first)}, n_embd_);
}

// What is wanted behind the newest token; output.first is 0 and counts from it.
void Engine::process_newest(Output& output, Pulse& pulse) {
  if (size() == 0) fail(ErrorKind::kUsage, "there is no token whose logits could be wanted");
  if (n_processed_ == size()) {  // it was not asked for then: once more through the layers
    drop(size() - 1);
    --n_processed_;
  }
  const int32_t newest = tokens_.back();
  process(std::span(&newest, 1), n_processed_, &output, pulse);
  n_processed_ = size();
}

void Engine::last_logits(float* logits, Pulse& pulse) {
  if (last_row_size_ != size() || size() == 0) {
    last_row_.resize(n_vocab_);
    last_row_size_ = 0;
    Output output;
    output.logits = last_row_.data();
    process_newest(output, pulse);
    check_row(last_row_.data(), n_vocab_);
    last_row_size_ = size();
  }
  if (logits != nullptr) std::memcpy(logits, last_row_.data(), last_row_.size() * sizeof(float));
}

struct Engine::Decoding {
  const bn_sampler& sampler;
  int32_t* tokens;        // out
  uint32_t& n_committed;  // of them
  bool stopped = false;   // the newest is a stop token

  void commit(int32_t token, std::vector<int32_t>& all) {
    all.push_back(token);
    tokens[n_committed++] = token;
    stopped = bn::kit::is_stop_token(sampler, token);
  }
};

void Engine::decode(const bn_sampler& sampler, DecodeLimit limit, int32_t* tokens, uint32_t& n_committed, Pulse& pulse) {
  n_committed = 0;
  limit.tokens = std::min(limit.tokens, n_ctx_ - size());
  if (limit.tokens == 0) return;
  if (decodes_natively()) {
    process_pending({}, nullptr, pulse);
    struct TakeOver {  // what the plugin committed counts also when it failed afterwards
      Engine& engine;
      const int32_t* tokens;
      const uint32_t& n;
      ~TakeOver() {
        engine.tokens_.insert(engine.tokens_.end(), tokens, tokens + n);
        engine.n_processed_ = engine.size();
      }
    } const committed{*this, tokens, n_committed};
    return decode_natively(sampler, limit, tokens, n_committed, pulse);
  }
  Decoding decoding{sampler, tokens, n_committed};
  // A draft needs its rows' best logits in place of all, and a newest token that has not gone through the layers.
  const bool few = sampler.temperature <= 0.0f || (sampler.top_k >= 1 && sampler.top_k <= BN_TOPK_MAX);
  for (uint32_t step = 0; step < limit.steps && n_committed < limit.tokens && !decoding.stopped; ++step) {
    if (speculation_ == nullptr || !few) {
      decode_one(decoding, pulse);
      continue;
    }
    const uint32_t before = n_committed, most = n_processed_ < size() ? limit.tokens - before - 1 : 0;
    const auto start = std::chrono::steady_clock::now();
    const std::span<const int32_t> draft = speculation_->draft(tokens_, most);
    if (draft.empty()) {
      decode_one(decoding, pulse);
    } else {
      decode_draft(decoding, draft, pulse);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    speculation_->saw({tokens + before, n_committed - before}, seconds);
    info_.speculation = speculation_->counts();
  }
}

// Logits a sampler looks at: the k best; 0: all.
static uint32_t best_of(const bn_sampler& sampler, uint32_t n_vocab) {
  return sampler.temperature <= 0.0f ? 1 : std::min(sampler.top_k, n_vocab);
}

// Room for the k best of n_rows rows.
Output Engine::best_output(uint32_t n_rows, uint32_t k) {
  best_id_.resize(static_cast<size_t>(n_rows) * k);
  best_logit_.resize(best_id_.size());
  Output output;
  output.top_k = k;
  output.top_id = best_id_.data();
  output.top_logit = best_logit_.data();
  return output;
}

int32_t Engine::sample_best(const bn_sampler& sampler, uint32_t row, uint32_t k) const {
  const size_t at = static_cast<size_t>(row) * k;
  return bn::kit::sample_top(sampler, size(), best_id_.data() + at, best_logit_.data() + at, k);
}

// From the best logits alone where the sampler looks at no others and they cost less.
void Engine::decode_one(Decoding& decoding, Pulse& pulse) {
  const uint32_t k = best_of(decoding.sampler, n_vocab_);
  if (last_row_size_ != size() && k != 0 && best_are_cheap(1, k)) {
    Output output = best_output(1, k);
    process_newest(output, pulse);
    if (std::isfinite(best_logit_[0])) return decoding.commit(sample_best(decoding.sampler, 0, k), tokens_);
  }
  last_logits(nullptr, pulse);
  decoding.commit(bn::kit::sample_logits(decoding.sampler, size(), last_row_.data(), n_vocab_), tokens_);
}

// The newest token and the draft in one step: behind each of them samples what it would have sampled one by one, as long as
// that is what the draft says. At least one token is committed.
void Engine::decode_draft(Decoding& decoding, std::span<const int32_t> draft, Pulse& pulse) {
  const uint32_t n_rows = static_cast<uint32_t>(draft.size()) + 1, before = decoding.n_committed;
  const uint32_t k = best_of(decoding.sampler, n_vocab_);
  const Output output = best_output(n_rows, k);
  std::vector<int32_t> batch = {tokens_.back()};
  batch.insert(batch.end(), draft.begin(), draft.end());
  process(batch, n_processed_, &output, pulse);
  n_processed_ += n_rows;
  for (uint32_t row = 0; row < n_rows; ++row) {
    if (!std::isfinite(best_logit_[static_cast<size_t>(row) * k])) break;  // decode_one() will see the same, and judge it
    const int32_t token = sample_best(decoding.sampler, row, k);
    decoding.commit(token, tokens_);
    if (decoding.stopped || row == draft.size() || token != draft[row]) break;
  }
  const bool committed = decoding.n_committed > before;
  n_processed_ = size() - (committed ? 1 : 0);  // what the sampler did not draw is forgotten, and the newest goes with the next
  drop(n_processed_);
  if (!committed) decode_one(decoding, pulse);
}

void Engine::use_drafts(uint32_t draft_min, uint32_t draft_max) {
  speculation_ = std::make_unique<Speculation>(draft_min, draft_max, n_ctx_);
  info_.drafts = true;
}

void Engine::truncate(uint32_t n) {
  if (n > size()) fail(ErrorKind::kUsage, "cannot keep {} tokens of {}", n, size());
  if (n < n_processed_) {
    drop(n);
    n_processed_ = n;
  }
  tokens_.resize(n);
  if (last_row_size_ > n) last_row_size_ = 0;
  if (speculation_) speculation_->forget(n);
}

// --------------------------------------------------------------------------------------------- several sequences
// What goes through the layers in a step: all that is pending and what is appended; but when nothing is wanted behind it, the
// newest stays pending, as in append().
void Engine::prepare(const BatchItem& item, Piece& piece) {
  const bool wanted = item.sampler != nullptr || item.logits != nullptr;
  const uint32_t n = static_cast<uint32_t>(item.tokens.size());
  if (n + (item.sampler != nullptr ? 1 : 0) > n_ctx_ - size()) {
    fail(ErrorKind::kUsage, "{} tokens do not fit: the context holds {}, {} are used", n, n_ctx_, size());
  }
  if (n == 0 && (!wanted || size() == 0)) fail(ErrorKind::kUsage, "a step of several sequences has nothing to do for one");
  if (n == 0 && n_processed_ == size()) {  // its logits were not asked for then: once more through the layers
    drop(size() - 1);
    --n_processed_;
  }
  piece.engine = this;
  piece.position = n_processed_;
  piece.tokens.assign(tokens_.begin() + n_processed_, tokens_.end());
  piece.tokens.insert(piece.tokens.end(), item.tokens.begin(), item.tokens.end());
  if (!wanted) piece.tokens.pop_back();
}

// What a step gave. best_k: 0 where all logits were computed.
void Engine::take(BatchItem& item, uint32_t best_k, Pulse& pulse) {
  const bool wanted = item.sampler != nullptr || item.logits != nullptr;
  tokens_.insert(tokens_.end(), item.tokens.begin(), item.tokens.end());
  n_processed_ = wanted ? size() : size() - 1;
  if (item.sampler == nullptr) {
    if (wanted) check_row(item.logits, n_vocab_);
    return;
  }
  uint32_t n_committed = 0;
  Decoding decoding{*item.sampler, &item.token, n_committed};
  if (best_k == 0) {
    check_row(last_row_.data(), n_vocab_);
    last_row_size_ = size();
    decoding.commit(bn::kit::sample_logits(*item.sampler, size(), last_row_.data(), n_vocab_), tokens_);
  } else if (std::isfinite(best_logit_[0])) {
    decoding.commit(sample_best(*item.sampler, 0, best_of(*item.sampler, n_vocab_)), tokens_);  // it may look at fewer
  } else {
    decode_one(decoding, pulse);  // looks at all logits, and judges them
  }
}

void Engine::step_natively(BatchItem& item, Pulse& pulse) {
  Output output;
  output.first = static_cast<uint32_t>(item.tokens.size()) - 1;
  output.logits = item.logits;
  const bool wanted = item.sampler == nullptr && item.logits != nullptr;
  if (!item.tokens.empty()) item.engine->append(item.tokens, wanted ? &output : nullptr, pulse);
  if (wanted && item.tokens.empty()) item.engine->last_logits(item.logits, pulse);
  uint32_t n = 0;
  if (item.sampler != nullptr) item.engine->decode(*item.sampler, {1, 1}, &item.token, n, pulse);
}

void Engine::step(std::span<BatchItem> items, Pulse& pulse) {
  if (items.front().engine->decodes_natively()) {
    for (BatchItem& item : items) step_natively(item, pulse);
    return;
  }
  uint32_t n_rows = 0, best_k = 0;
  bool all = false;  // somebody looks at all logits: then they are computed for everyone
  for (const BatchItem& item : items) {
    const uint32_t k = item.sampler != nullptr ? best_of(*item.sampler, item.engine->n_vocab_) : 0;
    const bool wanted = item.sampler != nullptr || item.logits != nullptr;
    n_rows += wanted ? 1 : 0;
    best_k = std::max(best_k, k);
    all |= wanted && k == 0;
  }
  if (all || n_rows == 0 || !items.front().engine->best_are_cheap(n_rows, best_k)) best_k = 0;
  std::vector<Piece> pieces;
  std::vector<Output> outputs(items.size());
  pieces.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    Engine& engine = *items[i].engine;
    Piece piece{};
    engine.prepare(items[i], piece);
    if (items[i].sampler != nullptr && best_k != 0) {
      outputs[i] = engine.best_output(1, best_k);
    } else if (items[i].sampler != nullptr) {
      engine.last_row_.resize(engine.n_vocab_);
      engine.last_row_size_ = 0;
      outputs[i].logits = engine.last_row_.data();
    } else {
      outputs[i].logits = items[i].logits;
    }
    outputs[i].first = static_cast<uint32_t>(piece.tokens.size()) - 1;
    piece.output = items[i].sampler != nullptr || items[i].logits != nullptr ? &outputs[i] : nullptr;
    if (!piece.tokens.empty()) pieces.push_back(std::move(piece));
  }
  if (!pieces.empty()) pieces.front().engine->process_together(pieces, pulse);
  for (BatchItem& item : items) item.engine->take(item, best_k, pulse);
}

void Engine::process_together(std::span<const Piece> pieces, Pulse& pulse) {
  for (const Piece& piece : pieces) piece.engine->process(piece.tokens, piece.position, piece.output, pulse);
}

uint64_t Engine::kv_bytes(uint32_t) const { throw BackendError(BN_E_UNSUPPORTED, "does not give keys and values out"); }
void Engine::read_kv(uint32_t, uint32_t, void*) { throw BackendError(BN_E_UNSUPPORTED, "does not give keys and values out"); }
void Engine::place_kv(uint32_t, std::span<const int32_t>, const void*) {
  throw BackendError(BN_E_UNSUPPORTED, "does not take keys and values in");
}

void Engine::write_kv(std::span<const int32_t> tokens, const void* src) {
  if (tokens.size() > n_ctx_ - size()) {
    fail(ErrorKind::kUsage, "{} tokens do not fit: the context holds {}, {} are used", tokens.size(), n_ctx_, size());
  }
  if (n_processed_ != size()) fail(ErrorKind::kUsage, "the newest token has no keys and values yet");
  place_kv(size(), tokens, src);
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  n_processed_ = size();
}

namespace {
// The manifest was asked before; options may have made something else of the plugin.
void check_numerics(uint32_t numerics, const EngineOptions& options) {
  if (!options.deterministic || numerics == BN_EXACT_1) return;
  throw BackendError(BN_E_UNSUPPORTED, "is not exact-1 with its options, and --deterministic asks for it");
}
}  // namespace

std::unique_ptr<Engine> load_engine(const backend::Plugin& plugin, const backend::Candidate& candidate,
                                    const model::Model& model, ThreadTeam& team, const EngineOptions& options, Pulse& pulse) {
  auto given = options.device_options.find(plugin.name);
  if (given == options.device_options.end() && plugin.kind == "test")
    given = options.device_options.find("mock");  // its copies
  backend::OpenDevice device(plugin, candidate.device, given == options.device_options.end() ? "" : given->second);
  if (const bn_engine_v1* engine = candidate.tier != "kernels" ? device.engine() : nullptr; engine != nullptr) {
    check_numerics(engine->numerics, options);
    return std::make_unique<PluginEngine>(std::move(device), model, options, pulse);
  }
  if (candidate.tier == "engine") throw BackendError(BN_E_UNSUPPORTED, "offers no bn.engine/1");
  if (device.kernels() == nullptr) {
    throw BackendError(BN_E_UNSUPPORTED, "offers neither bn.engine/1 nor bn.kernels/1");
  }
  check_numerics(device.kernels()->numerics, options);
  if (!model.has_tensors()) {
    throw BackendError(BN_E_UNSUPPORTED, "needs weights, and the model file holds only a vocabulary");
  }
  auto loaded = std::make_shared<ComposedModel>(std::move(device), model, team, options,
                                                LoadCaches(options.prepack_cache, model.file.path(), plugin, pulse), pulse);
  auto engine = std::make_unique<ComposedEngine>(std::move(loaded), options.n_ctx, options.kv_dtype);
  if (options.draft_max != 0) engine->use_drafts(options.draft_min, options.draft_max);
  return engine;
}

}  // namespace bitnet::engine
