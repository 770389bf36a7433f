// model/graph.h - the decoder: the one place that knows what a transformer block of these models is.
//
// A Graph holds what one sequence needs on one kernels backend: KV cache, RoPE tables, activations. Families differ only by the
// values of bn_arch. Shapes: T tokens of a step, D n_embd, F n_ff, H*d query heads times head_dim, G*d key/value heads.
// Errors  step() returns the first status a kernel gave; Error{kNoMemory} from allocations before the step starts.
// Threads one step at a time; inside, the team of the Ops.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "backend/ops.h"
#include "model/backend_weights.h"
#include "model/best_rows.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/rope_tables.h"
#include "model/weights.h"

namespace bitnet::model {

struct Step {
  const int32_t* tokens;  // [n]
  uint32_t n;             // T, at most max_batch
  uint32_t position;      // of tokens[0]
  uint32_t first_row;     // logits are wanted for tokens [first_row, n); first_row == n: none
  float* logits;          // [n - first_row][n_vocab]
  uint32_t best_k = 0;    // not 0: only the k best of each row are wanted, k at most n_vocab. See Graph::best()
};

class Graph {
 public:
  // References must outlive the object. n_ctx: positions at most; max_batch: tokens of a step at most; head: null: as stored.
  Graph(const Config& config, const Weights& weights, const BackendWeights& linears, backend::Ops& ops, uint32_t n_ctx,
        uint32_t max_batch, uint32_t kv_dtype, const ScreenedHead* head = nullptr);

  bn_status step(const Step& step, backend::Pulse* pulse);
  // After a step with best_k: the best of a row in order, or empty: then that row of its logits is complete. Else its logits
  // mean nothing.
  std::span<const bn::kit::Candidate> best(uint32_t row) const {
    return searched_ ? search_->best(row) : std::span<const bn::kit::Candidate>();
  }
  // Whether a step with so many rows would be searched with the copy of the head.
  bool searches(uint32_t n_rows, uint32_t k) const { return search_ != nullptr && search_->can(n_rows, k); }
  HeadUse head_use() const { return search_ != nullptr ? search_->use() : HeadUse{}; }
  const char* failed_op() const { return op_.failed_op(); }
  uint32_t max_batch() const { return max_batch_; }
  uint64_t kv_bytes() const { return kv_.bytes(); }
  KvCache& kv() { return kv_; }
  const KvCache& kv() const { return kv_; }

 private:
  void forward(uint32_t member, const Step& step);
  void head(uint32_t member, const Step& step);
  backend::Activations activations(uint32_t width);

  const Config& config_;
  const Weights& weights_;
  const BackendWeights& linears_;
  backend::Ops& op_;
  uint32_t max_batch_;
  KvCache kv_;
  RopeTables rope_;
  std::unique_ptr<BestRows> search_;  // null: the head is used as stored
  bool searched_ = false;             // in the last step
  std::vector<AlignedBuffer> memory_;
  backend::Activations x_, h_, q_, k_, v_, a_, gate_, up_;
  backend::Quantized qd_, qh_, qf_;  // int8 of width D, H*d, F: the same memory, used one after the other
};

}  // namespace bitnet::model
