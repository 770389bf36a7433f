// device/head.h - from the last hidden state to the next token: all logits, or the best few by screening, and the draw.
//
// hidden: [T][n_embd] after the output norm. Logits are dense() of the kit (S16, any dtype), bit for bit.
// Chains  all logits: head, top, draw. Screened: see ScreenArgs. A sampler that wants the whole vocabulary (temperature above
// 0,
//         top_k 0) needs a list that no kernel here makes: the engine downloads the logits and samples on the host.
#pragma once

#include "simt.h"
#include "step.h"

namespace bn_cuda {

// table and x: 16-byte aligned.
struct HeadArgs {
  const uint8_t* table;     // [n_vocab] rows of dtype
  const float* row_scales;  // BN_DT_I8_ROW: n_row_scales of them, one per row or one in all
  const float* x;           // [T][n_embd]
  float* logits;            // [T][n_vocab]
  uint32_t* not_finite;     // [T] or null: set to 1 where a logit is not finite, else not touched
  uint32_t dtype, n_vocab, n_embd, n_row_scales, n_tokens;
};
const Kernel& head_kernel(const HeadArgs& a);
Shape head_shape(const HeadArgs& a);

constexpr uint32_t kMaxCandidates = 2048;

// The best k of each of T rows of logits, by falling logit, ties by rising id. No workspace; one block a row.
struct TopArgs {
  const float* logits;  // [T][n_vocab], finite
  int32_t* top_id;      // [T][k]
  float* top_logit;     // [T][k]
  uint32_t n_vocab, k;  // k: 1..BN_TOPK_MAX, at most n_vocab
};
const Kernel& top_kernel();
Shape top_shape(uint32_t n_tokens);

// The compact copy of a table of F32, F16 or BF16: w_r = s_r*q_r + d_r. Made on the device at load from the table there.
struct ScreenTable {
  int8_t* q;     // [n_vocab][q_stride], q_stride a multiple of 16, zeros behind n_embd
  float* scale;  // [n_vocab] s_r
  float* error;  // [n_vocab] >= |d_r|; infinite: the row holds numbers that are not finite, or beyond 1e30
  float* norm;   // [n_vocab] >= max(|w_r|, |s_r*q_r|)
  uint32_t q_stride;
};
uint64_t screen_bytes(uint32_t n_vocab, uint32_t n_embd);
ScreenTable screen_table(void* memory, uint32_t n_vocab, uint32_t n_embd);  // memory: screen_bytes(), 16-byte aligned

struct ScreenBuildArgs {
  HeadArgs head;  // x, logits and not_finite unused
  ScreenTable screen;
};
const Kernel& screen_build_kernel(uint32_t dtype);
Shape screen_build_shape(const ScreenBuildArgs& a);

// Whether the best k can be screened: F32, F16 or BF16, n_embd a multiple of 8 up to 16384, k up to n_vocab/32. It pays off for
// heads of many megabytes.
bool can_screen(uint32_t dtype, uint32_t n_vocab, uint32_t n_embd, uint32_t k);

// The exact best k of one token; with `estimates` the best k by what the copy says of each logit. The chain of screen_steps():
// two digits of x; bounds of every logit (screen_bound.h); a threshold that k logits reach; exact logits of the rows whose
// upper bound reaches it; sorted.
struct ScreenVector;
struct ScreenArgs {
  HeadArgs head;  // n_tokens 1; logits unused; not_finite as there, of the rows computed: no other can be infinite
  ScreenTable screen;
  int32_t* top_id;     // [k], by falling logit, ties by rising id
  float* top_logit;    // [k]
  uint32_t* overflow;  // set to 1, else not touched: more than kMaxCandidates rows could be among the best, or x is zero, tiny,
                       // huge or not finite. Then the list holds nothing: all logits are needed.
  uint32_t k;
  bool estimates;  // logits of the copy are taken as they are, not computed again (rows without a bound are)
  // Workspace, given by screen_layout().
  ScreenVector* vector;
  float* x;                // [n_embd] and zeros up to a multiple of 256
  int8_t* digits;          // [2][q_stride]
  float* upper;            // [n_vocab] upper bounds
  float* group;            // [ceil(n_vocab/32)] the largest lower bound of 32 rows
  int32_t* group_id;       // [BN_TOPK_MAX] of the best groups, and their
  float* group_best;       // [BN_TOPK_MAX] bounds
  int32_t* candidate;      // [kMaxCandidates]
  float* candidate_logit;  // [kMaxCandidates]
};
uint64_t screen_work_bytes(uint32_t n_vocab, uint32_t n_embd);
void screen_layout(ScreenArgs* a, void* work);  // work: screen_work_bytes(), 16-byte aligned, any contents

struct ScreenStep {
  const Kernel* kernel;
  Shape shape;
  const void* args;
};
constexpr uint32_t kScreenSteps = 5;
// The launches in their order; returns how many. args point to *a and *groups, which is filled here.
uint32_t screen_steps(const ScreenArgs* a, TopArgs* groups, ScreenStep (&steps)[kScreenSteps]);

// The draw of the canonical sampler (kit/sampler.hpp) from an exact sorted list, and what ends a step of one token: the token
// goes to tokens[position+1] and to the ring, position rises. One block. The number of the draw is position+1.
// Nothing changes when the chain has stopped or no draws are left. Otherwise one of the StepEnd is found first: kNotFinite,
// kNeedsFull, kNoRoom (position+1 == n_ctx): then nothing is drawn. A stop token is drawn, and the last token wanted.
struct DrawArgs {
  const int32_t* top_id;   // [k]
  const float* top_logit;  // [k]
  uint32_t* overflow;      // may be null; left 0
  uint32_t* not_finite;    // may be null; left 0
  const int32_t* stop;     // [n_stop]
  int32_t* tokens;         // [n_ctx] of the sequence
  StepState* state;
  int32_t* ring;         // mapped pinned host memory [kRing]: token, by n_drawn % kRing
  uint32_t* ring_count;  // mapped pinned host memory: n_drawn, written after the token
  uint32_t* ring_end;    // mapped pinned host memory: StepEnd, written after both when it is not kGoingOn
  uint64_t seed;
  uint32_t k;  // greedy: 1 is enough; else min(top_k of the sampler, n_vocab)
  uint32_t n_stop, n_ctx;
  float temperature, top_p, min_p;
};
constexpr uint32_t kRing = 4096;
const Kernel& draw_kernel();
Shape draw_shape(const DrawArgs& a);

}  // namespace bn_cuda
