// engine/model.h - a model on the device: weights, workspace, the compact head, and the choices made for this device.
//
// Errors  load(), fit(): a status and one sentence, or DeviceError. NO_MEMORY says how much is missing.
// Threads one at a time for a model and its sessions.
#pragma once

#include <memory>

#include "bitnet/engine.h"
#include "options.h"
#include "step.h"
#include "stream.h"
#include "weights.h"
#include "workspace.h"

namespace bn_cuda {

struct Surroundings {  // of a model: outlive it
  Stream& stream;
  const Options& options;
  const bn_host& host;
};

class Model {
 public:
  static bn_status fit(Gpu& gpu, const Options& options, const bn_model_desc* desc, const bn_plan* plan, bn_fit* out,
                       bn_error* error);
  static bn_status load(const Surroundings& s, const bn_model_desc* desc, const bn_plan* plan, const bn_call* call,
                        std::unique_ptr<Model>* out, bn_error* error);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const bn_arch arch;
  const uint32_t n_ctx, kv_dtype;  // positions of a session at most; BN_DT_F32 or BN_DT_F16, as the plan says

  Stream& stream() const { return s_.stream; }
  const Options& options() const { return s_.options; }
  const Workspace& workspace() const { return workspace_; }
  const Weights& weights() const { return weights_; }
  Step& step() const { return *step_; }
  bool has(uint64_t must) const { return (arch.must & must) != 0; }
  bool early_launch() const { return s_.options.early_launch && s_.stream.gpu().facts().early_launch; }
  // Device memory of a session with a context of n: keys and values of whole pages, tokens, state.
  static uint64_t session_bytes(const bn_arch& arch, uint32_t kv_dtype, uint32_t n);
  static uint64_t kv_positions(uint32_t n) { return (uint64_t{n} + BN_KV_PAGE - 1) / BN_KV_PAGE * BN_KV_PAGE; }
  static uint64_t kv_bytes_per_position(const bn_arch& arch, uint32_t kv_dtype);  // keys and values of all layers
  // The compact copy of the head, if there is one: best few candidates without all logits.
  bool screened() const { return screen_block_.bytes() != 0; }
  const ScreenTable& screen() const { return screen_; }
  void* screen_work() const { return screen_work_; }
  uint32_t* overflow() const { return overflow_; }
  // Pinned memory that rows of output come through: hidden states of kHiddenRows, logits of kLogitRows, their flags.
  float* hidden_rows() const { return hidden_rows_; }
  float* logit_rows() const { return logit_rows_; }
  uint32_t* not_finite_rows() const { return not_finite_rows_; }
  // One line in the runtime's log.
  __attribute__((format(printf, 2, 3))) void log(const char* format, ...) const;

 private:
  Model(const Surroundings& s, const bn_model_desc& desc, const bn_plan& plan);

  bn_status place(const bn_model_desc& desc, const bn_plan& plan, Copies* copies, bn_error* error);
  bool try_place(const bn_model_desc& desc, const bn_plan& plan, uint32_t n_batch, bool screened, Copies* copies);
  uint64_t lay_out_screen(uint8_t* base);
  void build_screen();
  DotPath choose_path();
  float time_path(DotPath path);

  Surroundings s_;
  DeviceBlock weight_block_, workspace_block_, screen_block_;
  HostBlock row_block_;
  Weights weights_;
  Workspace workspace_{};
  ScreenTable screen_{};
  void* screen_work_ = nullptr;
  uint32_t* overflow_ = nullptr;
  float *hidden_rows_ = nullptr, *logit_rows_ = nullptr;
  uint32_t* not_finite_rows_ = nullptr;
  std::unique_ptr<Step> step_;
};

}  // namespace bn_cuda
