// engine/composed_engine.cpp - cuts what is to be processed into steps of the graph.
#include "engine/composed_engine.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "bitnet/kit/pooling.hpp"
#include "engine/rows.h"

namespace bitnet::engine {
namespace {

// Adds the seconds that f takes.
template <class F>
auto timed(double& seconds, F&& f) {
  const auto start = std::chrono::steady_clock::now();
  auto result = f();
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

// Rows of hidden states of one call, step by step: to where they are wanted, or into one pooled row.
class HiddenRows {
 public:
  // out: null: none are wanted.
  HiddenRows(const bn_arch& arch, uint32_t max_rows, float* out)
      : pools_(arch.pooling != BN_POOL_NONE),
        n_embd_(arch.n_embd),
        out_(out),
        rows_(pools_ && out != nullptr ? static_cast<size_t>(max_rows) * n_embd_ : 0),
        pooler_(arch.pooling, arch.n_embd, (arch.must & BN_M_L2_POOLED) != 0) {}

  // Where the rows of the next step go, the first of which is row `row` of the call.
  float* room(uint32_t row) {
    if (out_ == nullptr) return nullptr;
    return pools_ ? rows_.data() : out_ + static_cast<uint64_t>(row) * n_embd_;
  }
  void take(uint32_t n) {
    for (uint32_t i = 0; pools_ && out_ != nullptr && i < n; ++i)
      pooler_.add(rows_.data() + static_cast<uint64_t>(i) * n_embd_);
  }
  void finish() {
    if (pooler_.n_rows() != 0) pooler_.write(out_);
  }

 private:
  bool pools_;
  uint32_t n_embd_;
  float* out_;
  std::vector<float> rows_;
  bn::kit::Pooler pooler_;
};

bool wants_logits(const Output* output) {
  return output != nullptr && (output->logits != nullptr || output->top_k != 0 || output->z != nullptr);
}

model::BackendWeights prepare(const model::Model& model, backend::Ops& ops, store::PrepackCache* cache, Pulse& pulse) {
  ops.begin(0, &pulse);
  return model::prepare_weights(model.weights, ops, cache, &model.file);
}

std::unique_ptr<model::ScreenedHead> screened(const model::Model& model, model::HeadMode mode, backend::Ops& ops,
                                              store::PrepackCache* cache) {
  if (model.config.arch.must & BN_M_NO_HEAD) return nullptr;
  return screen_head(model.weights.output, &model.file, mode, ops, cache);
}

}  // namespace

LoadCaches::LoadCaches(bool use, const std::string& model_path, const backend::Plugin& plugin, Pulse& pulse) {
  if (!use) return;
  const auto beat = [&pulse] { pulse.beat(); };
  weights_.emplace(model_path, plugin.id, plugin.version, store::PrepackLimits{}, beat);
  if (!weights_->is_there()) weights_.reset();
  if (weights_) {
    head_.emplace(model_path, model::kScreenedHeadMaker, model::kScreenedHeadVersion, store::PrepackLimits{}, beat);
  }
}

ComposedModel::ComposedModel(backend::OpenDevice opened, const model::Model& model, ThreadTeam& team,
                             const EngineOptions& options, LoadCaches caches, Pulse& pulse)
    : arch(model.config.arch),
      device(std::move(opened)),
      ops(device.kernels(), device.handle(), team),
      weights(timed(info.pack_seconds, [&] { return prepare(model, ops, caches.weights(), pulse); })),
      head(timed(info.pack_seconds, [&] { return screened(model, options.head, ops, caches.head()); })),
      graph(model.config, model.weights, weights, ops, options.n_ctx, options.max_batch, head.get()) {
  info.numerics = ops.table().numerics;
  info.tolerance = ops.table().tolerance;
  info.n_native = weights.n_native;
  info.n_packed = weights.n_packed;
  info.n_converted = weights.n_converted;
  info.n_cached = weights.n_cached;
  info.weight_bytes_owned = weights.bytes_owned;
  info.matrix_bytes_read = weights.bytes_read;
  info.head = graph.head_use();
  info.reads_and_samples = true;
}

ComposedEngine::ComposedEngine(std::shared_ptr<ComposedModel> model, uint32_t n_ctx, uint32_t kv_dtype)
    : Engine(n_ctx, model->arch), model_(std::move(model)), kv_(model_->arch, kv_dtype) {
  info_ = model_->info;
}

std::unique_ptr<Engine> ComposedEngine::another() { return std::make_unique<ComposedEngine>(model_, n_ctx(), kv_.dtype()); }

void ComposedEngine::process(std::span<const int32_t> tokens, uint32_t position, const Output* output, Pulse& pulse) {
  const Piece piece{this, {tokens.begin(), tokens.end()}, position, output};
  process_together({&piece, 1}, pulse);
}

struct ComposedEngine::Rows {
  const Output* output;
  uint32_t first;       // of the output's rows
  uint32_t n, at_step;  // how many; the first one among the rows of the step
  const float* logits;  // of the first
};

// Everything goes through the graph in steps of at most max_batch tokens: of the first piece as many as fit, then of the next.
void ComposedEngine::process_together(std::span<const Piece> pieces, Pulse& pulse) {
  model::Graph& graph = model_->graph;
  bool best_only = true;
  uint32_t best_k = 0;
  for (const Piece& piece : pieces) {
    if (!wants_logits(piece.output)) continue;
    if (model_->arch.must & BN_M_NO_HEAD) throw backend::BackendError(BN_E_INVALID, "the model has no output head");
    best_only &= piece.output->logits == nullptr && piece.output->z == nullptr;
    best_k = std::max(best_k, std::min(piece.output->top_k, n_vocab()));
  }
  if (!best_only) best_k = 0;
  // Hidden states are wanted of one sequence at a time.
  const Output* const alone = pieces.size() == 1 ? pieces.front().output : nullptr;
  HiddenRows hidden(model_->arch, graph.max_batch(), alone != nullptr ? alone->hidden : nullptr);
  std::vector<uint32_t> done(pieces.size());
  std::vector<model::Part> parts;
  std::vector<Rows> wanted;
  for (;;) {
    parts.clear(), wanted.clear();
    uint32_t room = graph.max_batch(), n_rows = 0;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const Piece& piece = pieces[i];
      const uint32_t begin = done[i], count = std::min(static_cast<uint32_t>(piece.tokens.size()) - begin, room);
      if (count == 0) continue;
      const uint32_t first = piece.output != nullptr ? piece.output->first : begin + count;
      const uint32_t row = first > begin ? std::min(first - begin, count) : 0;  // rows from here, counted from `begin`
      parts.push_back(
          {&static_cast<ComposedEngine*>(piece.engine)->kv_, piece.tokens.data() + begin, count, piece.position + begin, row});
      if (row < count) wanted.push_back({piece.output, begin + row - first, count - row, n_rows, nullptr});
      n_rows += count - row, room -= count, done[i] += count;
    }
    if (parts.empty()) break;
    float* logits = nullptr;
    const bool any = std::any_of(wanted.begin(), wanted.end(), [](const Rows& rows) { return wants_logits(rows.output); });
    if (wanted.size() == 1 && wanted.front().output->logits != nullptr) {
      logits = wanted.front().output->logits + static_cast<uint64_t>(wanted.front().first) * n_vocab();
    } else if (any) {
      model_->rows.resize(static_cast<size_t>(n_rows) * n_vocab());
      logits = model_->rows.data();
    }
    const bn_status status =
        graph.step({parts, logits, best_k, hidden.room(wanted.empty() ? 0 : wanted.front().first)}, &pulse);
    if (status != BN_OK) {
      throw backend::BackendError(status, fmt::format("{} in op {}", backend::status_name(status), graph.failed_op()));
    }
    hidden.take(n_rows);
    for (Rows& rows : wanted) {
      if (!wants_logits(rows.output)) continue;
      rows.logits = logits + static_cast<uint64_t>(rows.at_step) * n_vocab();
      hand_out(rows, best_k != 0);
    }
  }
  hidden.finish();
  for (const Piece& piece : pieces) static_cast<ComposedEngine*>(piece.engine)->info_.head = graph.head_use();
}

// To where the output wants them.
void ComposedEngine::hand_out(const Rows& rows, bool best_only) const {
  const uint64_t first = rows.first, values = n_vocab();
  Output to = *rows.output;
  if (to.logits != nullptr) to.logits += first * values;
  if (to.top_id != nullptr) to.top_id += first * to.top_k, to.top_logit += first * to.top_k;
  if (to.z != nullptr) to.z += 2 * first;
  if (to.logits != nullptr && to.logits != rows.logits) std::copy_n(rows.logits, rows.n * values, to.logits);
  if (!best_only) return summarize_rows(to, rows.logits, rows.n, n_vocab());
  for (uint32_t i = 0; i < rows.n; ++i, to.top_id += to.top_k, to.top_logit += to.top_k) {
    const auto best = model_->graph.best(rows.at_step + i);
    const size_t n = std::min<size_t>(best.size(), to.top_k);
    for (size_t c = 0; c < n; ++c) to.top_id[c] = best[c].id, to.top_logit[c] = best[c].logit;
    if (best.empty()) summarize_rows(to, rows.logits + i * values, 1, n_vocab());
  }
}

uint64_t ComposedEngine::kv_bytes(uint32_t n_tokens) const { return kv_.interchange_bytes(n_tokens); }

void ComposedEngine::read_kv(uint32_t pos0, uint32_t pos1, void* dst) { kv_.read(pos0, pos1, dst); }

void ComposedEngine::place_kv(uint32_t position, std::span<const int32_t> tokens, const void* src) {
  const uint32_t end = position + static_cast<uint32_t>(tokens.size());
  kv_.reserve(end);
  kv_.write(position, end, src);
}

}  // namespace bitnet::engine
