// engine/engine.h - one sequence on one backend: the type everything above sees, whichever tier the plugin has.
//
// Several sequences may share a loaded model: another() makes a further one, step() computes tokens of several at once. What
// one gets does not depend on the others. The state of an engine is its list of tokens. A kernels plugin is wrapped with the
// runtime's graph, KV cache and threads (ComposedEngine); an engine plugin brings its own (PluginEngine); both may live in a
// process of their own (WorkerEngine). The newest token may not have gone through the layers yet: it goes when its logits are
// needed. Errors  backend::BackendError with the plugin's status, UnusableLogits among them. After CANCELLED and TIMEOUT the
// tokens are
//         as they were before the call (decode: with those it committed); after any other the engine is only good for
//         destruction.
// Threads one at a time. Calls are watched and stopped through the Pulse they are given.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/device.h"
#include "backend/pulse.h"
#include "base/thread_team.h"
#include "engine/speculation.h"
#include "model/best_rows.h"
#include "model/model.h"

namespace bitnet::engine {

using backend::Pulse;

// "exact-1", "approx-1"
constexpr const char* numerics_name(uint32_t numerics) { return numerics == BN_EXACT_1 ? "exact-1" : "approx-1"; }

struct EngineOptions {
  uint32_t n_ctx = 0;        // positions at most
  uint32_t max_batch = 512;  // tokens of one step at most
  uint32_t kv_dtype = BN_DT_F32;
  // By the plugin's short name: a JSON object for its open(). Other plugins of kind test get that of "mock".
  std::map<std::string, std::string> device_options;
  bool prepack_cache = false;  // keep packed weights on disk and map them at the next start
  model::HeadMode head = model::HeadMode::kAuto;
  bool deterministic = false;  // a table that is not exact-1 is refused, whatever the manifest says
  uint32_t draft_min = 0;      // guesses of a decode step at least, wherever there are any, even if they do not pay off
  uint32_t draft_max = 0;      // guesses of a decode step at most, up to DraftLength::kMost; 0: none
};

// How the backend uses the model's matrices. Numbers are what happened, not what was planned.
struct EngineInfo {
  uint32_t numerics = BN_EXACT_1;  // of the table: options may have changed what the manifest says
  float tolerance = 0;             // approx-1: relative L2 error; not below 1 where numbers mean nothing, as a mock's
  // Sampled from numbers that are near those of other backends, not equal: where the text goes on elsewhere it may differ.
  bool is_approximate() const { return numerics == BN_APPROX_1 && tolerance < 1; }
  uint32_t n_native = 0, n_packed = 0, n_converted = 0;  // matrices
  uint32_t n_cached = 0;                                 // of the packed and converted ones, mapped from the prepack cache
  uint64_t weight_bytes_owned = 0;                       // packed or converted copies
  uint64_t matrix_bytes_read = 0;                        // of all matrices as the backend reads them; 0: not known
  double pack_seconds = 0;
  model::HeadUse head;             // of a kernels plugin
  bool decodes_many = false;       // decode() of many tokens is one call of the backend
  bool reads_and_samples = false;  // a step of tokens and a sample behind them goes through the layers once
  bool drafts = false;             // decode() tries guesses; engines that decode by themselves do not
  SpeculationCounts speculation;
};

// What is wanted of tokens [first, n) of an append: one row each, in the caller's buffers; null: not wanted.
struct Output {
  uint32_t first = 0;
  float* logits = nullptr;     // [rows][n_vocab]
  uint32_t top_k = 0;          // at most BN_TOPK_MAX; 0: not wanted. Alone it may cost much less than logits
  int32_t* top_id = nullptr;   // [rows][top_k], by falling logit, ties by rising id: exact; at most n_vocab are filled
  float* top_logit = nullptr;  // [rows][top_k]
  float* z = nullptr;          // [rows][2]: largest logit, sum of EXP(logit - largest)
  float* hidden = nullptr;  // hidden states behind the last norm, [rows][n_embd]; with bn_arch.pooling one row of all of them
};

// How far a decode goes: so many steps, and no more than so many tokens. A step gives one token, with guesses more.
struct DecodeLimit {
  uint32_t steps = 0;
  uint32_t tokens = 0;
};

// Logits that no text can be made from: not finite, or all equal. Hidden states that are not finite, or all zero.
class UnusableLogits : public backend::BackendError {
 public:
  explicit UnusableLogits(const std::string& what) : BackendError(BN_E_INTERNAL, what) {}
};

class Engine;

// One sequence of a step of several.
struct BatchItem {
  Engine* engine = nullptr;             // each once; all share a loaded model
  std::span<const int32_t> tokens;      // appended first; at least one when nothing is wanted behind them
  const bn_sampler* sampler = nullptr;  // then one token is sampled from the logits behind, and appended; it must fit
  float* logits = nullptr;              // [n_vocab], without a sampler: the logits behind; null: not wanted
  int32_t token = -1;                   // out: what was sampled
};

class Engine {
 public:
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Appends tokens; output: null when nothing is wanted. Rows of logits have been checked to be usable.
  void append(std::span<const int32_t> tokens, const Output* output, Pulse& pulse);

  // Again and again: sample from the logits behind the last token, append what was sampled. Ends at the limit, with the context
  // and after a stop token (which is appended too). tokens: room for limit.tokens; n_committed: how many are there, valid also
  // when it throws.
  void decode(const bn_sampler& sampler, DecodeLimit limit, int32_t* tokens, uint32_t& n_committed, Pulse& pulse);

  // What append() and decode() of one token would do, for several sequences; the weights are read once where the backend can
  // do so. Errors: as append(); after CANCELLED all tokens are as they were.
  static void step(std::span<BatchItem> items, Pulse& pulse);

  // A new, empty sequence on the same loaded model; null: the backend holds one only.
  virtual std::unique_ptr<Engine> another() { return nullptr; }

  // The logits behind the last token: [n_vocab]. At least one token is there.
  void last_logits(float* logits, Pulse& pulse);

  // Forgets all but the first n tokens. n <= size().
  void truncate(uint32_t n);

  uint32_t size() const { return static_cast<uint32_t>(tokens_.size()); }
  uint32_t n_ctx() const { return n_ctx_; }
  uint32_t n_vocab() const { return n_vocab_; }
  // Floats that Output::hidden gets for n rows.
  uint64_t hidden_size(uint32_t n_rows) const { return uint64_t{pools_ && n_rows != 0 ? 1 : n_rows} * n_embd_; }

  // Keys and values of tokens [0, n) out and in, in the order that bn_kv_v1 defines; n <= size(), except the newest token
  // when it is not computed. write_kv() appends tokens whose keys and values are given. BackendError{UNSUPPORTED} by engines
  // that do not do it.
  virtual uint64_t kv_bytes(uint32_t n_tokens) const;
  virtual void read_kv(uint32_t pos0, uint32_t pos1, void* dst);
  void write_kv(std::span<const int32_t> tokens, const void* src);

  virtual uint64_t kv_bytes_used() const = 0;  // memory in use; 0: on a device, unknown
  const EngineInfo& info() const { return info_; }

  // From now on decode() computes guesses with a step, as many as EngineOptions say; tokens stay the same.
  void use_drafts(uint32_t draft_min, uint32_t draft_max);

 protected:
  Engine(uint32_t n_ctx, const bn_arch& arch)
      : n_ctx_(n_ctx), n_vocab_(arch.n_vocab), n_embd_(arch.n_embd), pools_(arch.pooling != BN_POOL_NONE) {}

  // Sends tokens through the layers; position: of the first, equal to what went through before. Never more than fit.
  virtual void process(std::span<const int32_t> tokens, uint32_t position, const Output* output, Pulse& pulse) = 0;
  // The same for several sequences, which share a loaded model with this one.
  struct Piece {
    Engine* engine;
    std::vector<int32_t> tokens;
    uint32_t position;
    const Output* output;  // null: nothing is wanted
  };
  virtual void process_together(std::span<const Piece> pieces, Pulse& pulse);
  // Forgets what is behind the first n processed tokens.
  virtual void drop(uint32_t n) = 0;
  virtual void place_kv(uint32_t position, std::span<const int32_t> tokens, const void* src);
  // Whether the k best logits of so many rows cost less than all of them.
  virtual bool best_are_cheap(uint32_t /*n_rows*/, uint32_t /*k*/) const { return false; }
  // Whether decode_natively(), which is decode() after everything was processed, is there. limit.tokens fit.
  virtual bool decodes_natively() const { return false; }
  virtual void decode_natively(const bn_sampler&, DecodeLimit, int32_t*, uint32_t&, Pulse&) {}

  EngineInfo info_;

 private:
  struct Decoding;  // a decode() on its way

  void process_pending(std::span<const int32_t> more, const Output* output, Pulse& pulse);
  void process_newest(Output& output, Pulse& pulse);
  static void step_natively(BatchItem& item, Pulse& pulse);
  void prepare(const BatchItem& item, Piece& piece);
  void take(BatchItem& item, uint32_t best_k, Pulse& pulse);
  Output best_output(uint32_t n_rows, uint32_t k);
  int32_t sample_best(const bn_sampler& sampler, uint32_t row, uint32_t k) const;
  void decode_one(Decoding& decoding, Pulse& pulse);
  void decode_draft(Decoding& decoding, std::span<const int32_t> draft, Pulse& pulse);

  uint32_t n_ctx_, n_vocab_, n_embd_;
  bool pools_;
  std::vector<int32_t> tokens_;
  uint32_t n_processed_ = 0;     // tokens that went through the layers; all or all but the newest
  std::vector<float> last_row_;  // logits behind tokens_[last_row_size_ - 1]
  uint32_t last_row_size_ = 0;   // 0: none kept
  std::unique_ptr<Speculation> speculation_;
  std::vector<int32_t> best_id_;  // of the rows of a draft
  std::vector<float> best_logit_;
};

// Opens the candidate's device of its plugin and loads the model into the tier the candidate names. References must outlive the
// engine. Errors: BackendError; Error{kNoMemory}.
std::unique_ptr<Engine> load_engine(const backend::Plugin& plugin, const backend::Candidate& candidate,
                                    const model::Model& model, ThreadTeam& team, const EngineOptions& options, Pulse& pulse);

}  // namespace bitnet::engine
