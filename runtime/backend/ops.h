// backend/ops.h - one op of the graph: split its range over the thread team, call the plugin's function or the portable one.
//
// Every member of the team calls the same methods in the same order (one parallel region per step). An op with little to do
// (one token's norm) is done by member 0 alone; the others go on to the next op that is shared and meet there. A shared op ends
// with a barrier, so its results are visible to all members; bit_linear groups share one. Once an op has failed, or the step
// was cancelled, later ops do nothing but meet at the barriers; the caller looks at status() when the region is over.
//
// Shapes are in the words of the graph: T tokens of the batch. Every tensor is row major, strides in elements.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/pulse.h"
#include "base/aligned_buffer.h"
#include "base/thread_team.h"
#include "bitnet/kernels.h"

namespace bitnet::backend {

// A ternary matrix as one backend wants it.
struct Linear {
  const char* name = "";  // for messages
  bn_tensor weight{};     // format as the backend reads it
  const void* packed = nullptr;
};

struct Activations {  // float [T][stride]
  float* data = nullptr;
  uint32_t stride = 0;
};

struct Quantized {  // int8 [T][stride] with one scale and one sum per token
  int8_t* codes = nullptr;
  float* scale = nullptr;
  int32_t* sum = nullptr;
  uint32_t stride = 0;
};

// Rows of a batch that are tokens at consecutive positions of one sequence.
struct Run {
  uint32_t row = 0, n = 0;  // the first, how many
  uint32_t position = 0;    // of the first
};

// Keys and values of one sequence in one layer, as bn_attn wants them.
struct Pages {
  const void* const* k = nullptr;
  const void* const* v = nullptr;
};

class Ops {
 public:
  // table: the plugin's; the ops it leaves out come from the SDK's portable kernels. Pointers must outlive the object.
  Ops(const bn_kernels_v1* table, bn_device* device, ThreadTeam& team);

  const bn_kernels_v1& table() const { return table_; }  // complete: no optional function is null
  bn_device* device() const { return device_; }
  ThreadTeam& team() { return team_; }

  // Before a region: T tokens, and the pulse that every finished piece of work makes grow (may be null: nobody watches).
  void begin(uint32_t n_tokens, Pulse* pulse);
  // Before a region with attention() to these runs, after begin(): decides whether pages are shared among the members, and has
  // room for their parts.
  void plan_attention(const bn_attn& args, std::span<const Run> runs);
  // Outside a region: tells who watches that loading gets on.
  void beat() {
    if (pulse_ != nullptr) pulse_->beat();
  }
  // After a region: BN_OK or the first failure, and the op it happened in ("" when none).
  bn_status status() const { return status_.load(); }
  const char* failed_op() const { return failed_op_.load(); }

  // --- inside a region; `member` is the caller's number in the team
  void embed(uint32_t member, const char* name, Activations y, const bn_tensor& table, const int32_t* tokens, float scale);
  // y = RMSNorm(x)*gain as float; row rows[i] of x goes to row i of y.
  void rms_norm(uint32_t member, const char* name, Activations y, Activations x, const float* gain, uint32_t n, float eps,
                std::span<const uint32_t> rows);
  // The same for all tokens, each of which has `vectors` of them side by side (heads); y may be x.
  void rms_norms(uint32_t member, const char* name, Activations y, Activations x, const float* gain, uint32_t vectors,
                 uint32_t n, float eps);
  // int8 codes of RMSNorm(x)*gain, or of x itself when gain is null.
  void quantize(uint32_t member, const char* name, Quantized y, Activations x, const float* gain, uint32_t n, float eps);
  struct LinearCall {
    const Linear* linear;
    Activations y;
  };
  void bit_linear(uint32_t member, Quantized x, std::span<const LinearCall> calls);
  void add_bias(uint32_t member, const char* name, Activations y, const float* bias, uint32_t n);  // y += bias, [n]
  // Both: runs cover the batch in order, one per sequence. args: all but x, x_stride and pos0.
  void rope(uint32_t member, const char* name, Activations x, bn_rope args, std::span<const Run> runs);
  // args: all but pos0, k and v; pages: [runs].
  void attention(uint32_t member, const char* name, const bn_attn& args, std::span<const Run> runs, const Pages* pages);
  void glu(uint32_t member, const char* name, Activations y, Activations gate, Activations up, uint32_t act, uint32_t n);
  void add(uint32_t member, const char* name, Activations x, Activations y, uint32_t n);  // x += y
  // logits [rows][stride] = head * x for rows tokens of x.
  void dense(uint32_t member, const char* name, Activations y, const bn_tensor& weight, Activations x, uint32_t rows);
  // f(token) for every token of the batch; for work that no plugin does (KV store).
  template <class F>
  void each_token(uint32_t member, const char* name, F&& f) {
    run(member, name, n_tokens_, 1, n_tokens_ == 1, [&](uint32_t begin, uint32_t end, void*) {
      for (uint32_t t = begin; t < end; ++t) f(t);
      return BN_OK;
    });
  }
  // f(begin, end, scratch) -> bn_status on pieces of [0, n) whose starts are multiples of granule, shared by the members; a
  // piece is no more than `most`, except that it is one granule at least. No barrier follows: the caller sees to one before
  // results of others are read, and after at most a handful of these.
  template <class F>
  void share(uint32_t member, const char* name, uint32_t n, uint32_t granule, F&& f, uint32_t most = UINT32_MAX);

  // The function that dense() calls, for rows [row0, row1) of args.w; and how many rows a piece has at most.
  bn_status dense_rows(const bn_dense& args, uint32_t row0, uint32_t row1, void* scratch) const;
  static uint32_t most_dense_rows(const bn_dense& args) { return most_units(uint64_t{args.m} * args.w->cols); }

 private:
  // A whole op: alone, f(0, n, scratch) on member 0, or share() and a barrier.
  template <class F>
  void run(uint32_t member, const char* name, uint32_t n, uint32_t granule, bool alone, F&& f, uint32_t most = UINT32_MAX);
  // The same over tokens x columns, `width` floats to a column: pieces of tokens when there are enough, else of columns.
  template <class F>
  void run_grid(uint32_t member, const char* name, uint32_t columns, uint32_t granule, uint32_t width, F&& f);
  void matmul_by_tokens(uint32_t member, const char* name, const bn_matmul& args);
  bn_status attention_in_pieces(const bn_attn& args, uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void* scratch);
  void attention_by_pages(uint32_t member, const char* name, const bn_attn& args, std::span<const Run> runs,
                          const Pages* pages);
  // Floats of an op that one member is done with before two have met.
  static constexpr uint32_t kAlone = 8192;
  // From so many tokens on members share them, not the rows of a matrix, in parts of at least so many rows; so many tokens
  // are a piece at most.
  static constexpr uint32_t kManyTokens = 128, kPartRows = 512, kMostTokens = 128;
  // Every call is a sign of life, and a step on one thread, or on a long context, must not look like one that hangs. dense()
  // has at most kMostProducts products of floats in a call. A call of attention with more than kFewProducts has at most
  // kQueries queries, of one KV head: what fast kernels take together anyway (bitnet/kit/vector/prompt_attention.hpp).
  static constexpr uint64_t kMostProducts = uint64_t{1} << 28, kFewProducts = uint64_t{1} << 24;
  static constexpr uint32_t kQueries = 256;
  static uint32_t most_units(uint64_t products_of_one) {
    return static_cast<uint32_t>(std::max<uint64_t>(1, kMostProducts / std::max<uint64_t>(1, products_of_one)));
  }
  // Pages are shared from so many on; below, heads are. Runs: see share().
  static constexpr uint32_t kFewestPages = 6, kMostRunsByPages = 8;
  bool alone(uint32_t width) const { return static_cast<uint64_t>(n_tokens_) * width <= kAlone; }
  void fail(const char* name, bn_status status);
  bool may_start(uint32_t member, const char* name);
  template <class F>
  bool run_piece(uint32_t member, const char* name, uint32_t begin, uint32_t end, F&& f);

  bn_kernels_v1 table_;
  bn_device* device_;
  ThreadTeam& team_;
  std::vector<AlignedBuffer> scratch_;  // one per member
  // By runs, if attention shares pages; else empty.
  std::vector<bn_attn_parts> parts_;
  AlignedBuffer part_memory_;
  uint32_t n_tokens_ = 0;
  Pulse* pulse_ = nullptr;
  std::atomic<bn_status> status_{BN_OK};
  std::atomic<const char*> failed_op_{""};

  // Next free piece of each of the last ops; see share().
  static constexpr uint32_t kCounters = 64;
  struct alignas(64) Counter {
    std::atomic<uint32_t> next{0};
  };
  std::unique_ptr<Counter[]> counters_;
  struct alignas(64) Sequence {
    uint32_t op = 0;     // shared ops started
    bool apart = false;  // member 0 may still be at an op of its own
  };
  std::vector<Sequence> sequence_;  // per member
};

// False when the step is over for this member.
inline bool Ops::may_start(uint32_t member, const char* name) {
  if (status_.load(std::memory_order_relaxed) != BN_OK) return false;
  if (pulse_ == nullptr) return true;
  if (pulse_->stop_requested()) {
    fail(name, BN_E_CANCELLED);
    return false;
  }
  if (member == 0) pulse_->at.store(name, std::memory_order_relaxed);
  return true;
}

template <class F>
bool Ops::run_piece(uint32_t member, const char* name, uint32_t begin, uint32_t end, F&& f) {
  bn_status status = BN_E_INTERNAL;
  try {
    status = f(begin, end, scratch_[member].data());
  } catch (...) {  // a plugin that breaks rule 6 must not end the program
  }
  if (status != BN_OK) fail(name, status);
  if (pulse_ != nullptr) pulse_->beat();
  return status == BN_OK;
}

template <class F>
void Ops::share(uint32_t member, const char* name, uint32_t n, uint32_t granule, F&& f, uint32_t most) {
  Sequence& sequence = sequence_[member];
  if (sequence.apart) {
    team_.barrier();
    sequence.apart = false;
  }
  // Members are at most a handful of ops apart (a bit_linear group), so the counter half a ring ahead is nobody's.
  const uint32_t op = sequence.op++;
  counters_[(op + kCounters / 2) % kCounters].next.store(0, std::memory_order_relaxed);
  if (!may_start(member, name)) return;
  // A piece is a share of what is left: large ones first, for long runs in memory, small ones at the end, so that members
  // finish together, even one that loses its core for a moment.
  most = std::max(most / granule * granule, granule);
  const uint32_t least = std::min(most, (n / (16 * team_.size()) / granule + 1) * granule);
  std::atomic<uint32_t>& next = counters_[op % kCounters].next;
  uint32_t begin = next.load(std::memory_order_relaxed);
  while (begin < n) {
    const uint32_t part = team_.size() == 1 ? n - begin : 3 * (n - begin) / (4 * team_.size()) / granule * granule;
    const uint32_t end = begin + std::min(n - begin, std::clamp(part, least, most));
    if (!next.compare_exchange_weak(begin, end, std::memory_order_relaxed)) continue;
    if (!run_piece(member, name, begin, end, f)) return;
    begin = next.load(std::memory_order_relaxed);
  }
}

template <class F>
void Ops::run(uint32_t member, const char* name, uint32_t n, uint32_t granule, bool alone, F&& f, uint32_t most) {
  if (!alone) {
    share(member, name, n, granule, f, most);
    return team_.barrier();
  }
  sequence_[member].apart = true;
  if (member == 0 && may_start(member, name)) run_piece(member, name, 0, n, f);
}

}  // namespace bitnet::backend
