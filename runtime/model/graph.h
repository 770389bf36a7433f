// model/graph.h - the decoder: the one place that knows what a transformer block of these models is.
//
// A Graph holds what a model needs on one kernels backend: RoPE tables, activations. Keys and values are the sequences'. A step
// takes tokens of several sequences: the weights are read once for all of them, and only RoPE and attention know whose a token
// is. What a sequence gets does not depend on the others in its step (exact-1).
// Families differ only by the values of bn_arch. Shapes: T tokens of a step, of all sequences; D n_embd, F n_ff, H*d query
// heads times head_dim, G*d key/value heads. Errors  step() returns the first status a kernel gave; Error{kNoMemory} from
// allocations before the step starts. Threads one step at a time; inside, the team of the Ops.
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

// The next tokens of one sequence.
struct Part {
  KvCache* kv;            // the sequence's
  const int32_t* tokens;  // [n]
  uint32_t n;             // at least 1
  uint32_t position;      // of tokens[0]
  uint32_t first_row;     // logits are wanted for tokens [first_row, n); first_row == n: none
};

struct Step {
  std::span<const Part> parts;  // of different sequences; T tokens together, at most max_batch
  float* logits;                // [rows wanted, in the order of the parts][n_vocab]; null: no logits
  uint32_t best_k = 0;          // not 0: only the k best of each row are wanted, k at most n_vocab. See Graph::best()
  float* hidden = nullptr;      // [rows wanted][n_embd]: what the head reads, if that is wanted
};

class Graph {
 public:
  // References must outlive the object. n_ctx: positions at most; max_batch: tokens of a step at most; head: null: as stored.
  Graph(const Config& config, const Weights& weights, const BackendWeights& linears, backend::Ops& ops, uint32_t n_ctx,
        uint32_t max_batch, const ScreenedHead* head = nullptr);

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

 private:
  void lay_out(std::span<const Part> parts);
  // What projections read: x, behind the norm if the family has one there, as int8 codes.
  struct Input {
    const char* name;
    backend::Quantized codes;
    backend::Activations x;
    const Gain& norm;
    backend::Activations normed;  // where the normed x goes when the projections have norms of their own; may be x
  };
  struct Projection {
    const Matrix& matrix;
    backend::Ops::LinearCall call;
  };
  void forward(uint32_t member, const Step& step);
  void project(uint32_t member, const Input& input, std::initializer_list<Projection> projections);
  bn_attn attention_arguments(const KvCache& any) const;
  void head(uint32_t member, const Step& step, backend::Activations h);
  backend::Activations activations(uint32_t width);

  const Config& config_;
  const Weights& weights_;
  const BackendWeights& linears_;
  backend::Ops& op_;
  uint32_t max_batch_;
  RopeTables rope_;
  std::unique_ptr<BestRows> search_;  // null: the head is used as stored
  bool searched_ = false;             // in the last step
  // Of the step: its tokens [T], the part each belongs to, whose rows are wanted; the parts as the ops want them.
  std::vector<int32_t> tokens_;
  std::vector<uint32_t> part_of_, wanted_;
  std::vector<backend::Run> runs_;     // [parts]
  std::vector<backend::Pages> pages_;  // [layer][parts]
  std::vector<AlignedBuffer> memory_;
  backend::Activations x_, h_, q_, k_, v_, a_, gate_, up_;
  backend::Quantized qd_, qh_, qf_;  // int8 of width D, H*d, F: the same memory, used one after the other
};

}  // namespace bitnet::model
