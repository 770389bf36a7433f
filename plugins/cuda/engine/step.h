// engine/step.h - the kernels of one step in their order: tokens in, residual stream out. Only queues work.
//
// plain(): any number of tokens, a kernel for each op: the definition. fused(): one token, five kernels a layer. Both take
// every family and give the same bits, unless numerics are fast.
// Errors   DeviceError.
#pragma once

#include "../device/elementwise.h"
#include "../device/matmul.h"
#include "options.h"
#include "stream.h"
#include "weights.h"
#include "workspace.h"

namespace bn_cuda {

// What a session has on the device.
struct Sequence {
  int32_t* tokens;          // [n_ctx]
  StepState* state;         // where the step begins
  uint8_t *k, *v;           // [layer][kv_head][n_positions][head_dim]
  uint64_t layer_bytes;     // of k, from layer to layer
  uint64_t kv_stride_head;  // elements
};

class Step {
 public:
  // n_ctx: positions of a sequence at most.
  Step(const bn_arch& arch, uint32_t n_ctx, uint32_t kv_dtype, const Weights& weights, const Workspace& workspace, DotPath path,
       bool fast, const DeviceFacts& facts, Stream& stream);

  void set_early(bool early) { early_ = early; }

  // n tokens from the state's position on: x of the workspace, keys and values of the sequence.
  void plain(const Sequence& s, uint32_t n);
  // One token, as the stage says and the model allows.
  void one(const Sequence& s, Stage stage);
  // One token. Only where can_fuse(): what a block keeps of its input has to fit the device's shared memory.
  void fused(const Sequence& s);
  bool can_fuse() const;

 private:
  // The residual stream of a fused step. With post norms x + RMSNorm(out)*branch_gain is still to be made, by the next reader
  // of x and into `spare`, for other blocks of that kernel still read x.
  struct Residual {
    float *x, *spare;
    const float* branch_gain;  // null: x is complete
  };

  void embed(const Sequence& s, float* x, uint32_t n);
  void attention(const Sequence& s, uint32_t layer, uint32_t n);
  void project(const float* x, uint32_t x_stride, const float* gain, const std::vector<DeviceLinear>& parts, float* y,
               uint32_t y_stride, bool add, uint32_t n);
  // The end of a block: y added to x, behind a norm where the family has one.
  void close_block(const float* x, uint32_t x_stride, const float* gain, const std::vector<DeviceLinear>& parts,
                   const float* post_norm, uint32_t n);
  void norm(const float* x, uint32_t x_stride, uint32_t width, const float* gain, float* y, uint32_t y_stride, uint32_t n);
  void quantize(const float* x, uint32_t x_stride, uint32_t width, const float* gain, uint32_t n);
  void matmul(const DeviceLinear& w, float* y, uint32_t y_stride, bool add, uint32_t n);
  void glu(uint32_t n);
  void add_norm(const float* gain, uint32_t n);
  FusedArgs fused_args(const std::vector<DeviceLinear>& parts, const float* gain, float* y) const;
  FusedArgs from_residual(FusedArgs a, Residual& r) const;
  void fused_linear(const FusedArgs& a, Epilogue epilogue);
  void fused_close(const float* x, const std::vector<DeviceLinear>& parts, const float* gain, const float* post_norm,
                   Residual& r);
  RopeArgs rope_args(const Sequence& s, uint32_t layer) const;
  AttentionArgs attention_args(const Sequence& s, uint32_t layer, uint32_t n) const;

  template <class Args>
  void launch(const Kernel& kernel, const Shape& shape, const Args& args) {
    stream_.launch(kernel, shape, args, early_);
  }
  bool has(uint64_t bit) const { return (arch_.must & bit) != 0; }

  const bn_arch& arch_;
  const uint32_t kv_dtype_;
  const Weights& w_;
  const Workspace& b_;
  const DotPath path_;
  const bool fast_;  // numerics: sums in the order that is quickest
  const uint32_t n_processors_, max_shared_bytes_, n_splits_;
  Stream& stream_;
  bool early_ = false;
};

}  // namespace bn_cuda
