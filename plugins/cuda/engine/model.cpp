// engine/model.cpp - how much a model needs, where it goes, and which way of multiplying is the fastest here.
#include "model.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "bitnet/kit/model_description.hpp"
#include "estimate.h"
#include "upload.h"

namespace bn_cuda {
namespace {

using bn::kit::set_error;

constexpr uint32_t kUsualBatch = 512, kLargestBatch = 2048, kSmallestBatch = 16;

uint32_t batch_of(const bn_plan& plan) {
  const uint32_t n = plan.n_batch_tokens == 0 ? kUsualBatch : std::min(plan.n_batch_tokens, kLargestBatch);
  return std::min(n, plan.n_ctx);
}
uint32_t sessions_of(const bn_plan& plan) { return BN_HAS(&plan, n_sessions) ? std::max(1u, plan.n_sessions) : 1; }
double megabytes(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

// What only this engine refuses.
bn_status check_limits(const bn_arch& a, bn_error* error) {
  if (a.head_dim % 4 == 0 && a.head_dim <= 256) return BN_OK;
  return set_error(error, BN_E_UNSUPPORTED, "model: heads of %u, this backend takes multiples of 4 up to 256", a.head_dim);
}
bn_status check_all(const bn_model_desc* desc, const bn_plan* plan, bn_error* error) {
  if (const bn_status bad = bn::kit::check_description(desc, plan, error); bad != BN_OK) return bad;
  if (const bn_status bad = check_limits(*desc->arch, error); bad != BN_OK) return bad;
  return bn::kit::check_tensors(*desc, error);
}
bn_status check_all_bytes(const bn_model_desc& desc, const bn_plan& plan, bn_error* error) {
  const bn_arch& a = *desc.arch;
  if (uint64_t{plan.n_ctx} * (a.rope_dim / 2) != 0 && (desc.rope_cos == nullptr || desc.rope_sin == nullptr)) {
    return set_error(error, BN_E_INVALID, "model: no RoPE tables");
  }
  for (const bn::kit::ExpectedTensor& e : bn::kit::expected_tensors(a)) {
    const uint64_t index = bn::kit::find_tensor(desc, e.role, e.layer);
    if (index == desc.n_tensors) continue;  // optional
    const bn_tensor& t = bn::kit::tensor_at(desc, index);
    if (const bn_status bad = bn::kit::check_bytes(t, e, error); bad != BN_OK) return bad;
    if (e.kind == bn::kit::ExpectedTensor::kTernary && !bn::kit::has_known_layout(t) && desc.read_t2 == nullptr) {
      return set_error(error, BN_E_INVALID, "model: no read_t2");
    }
  }
  return BN_OK;
}

uint64_t weight_bytes(const bn_model_desc& desc, const bn_plan& plan) {
  Carver count;
  lay_out(desc, plan, count, nullptr);
  return count.used();
}
uint64_t workspace_bytes(const bn_arch& a, uint32_t n_ctx, uint32_t n_batch) {
  Carver count;
  lay_out_workspace(a, n_ctx, n_batch, count);
  return count.used();
}

bn_arch known_part(const bn_arch& from) {  // the caller may know more fields than this header
  bn_arch a{};
  std::copy_n(reinterpret_cast<const uint8_t*>(&from), std::min<size_t>(from.struct_size, sizeof a),
              reinterpret_cast<uint8_t*>(&a));
  return a;
}

}  // namespace

bn_status Model::fit(Gpu& gpu, const Options& options, const bn_model_desc* desc, const bn_plan* plan, bn_fit* out,
                     bn_error* error) {
  if (const bn_status bad = check_all(desc, plan, error); bad != BN_OK) return bad;
  uint64_t free = 0, total = 0;
  check(gpu.memory(&free, &total), "asking for free memory");
  const bn_arch& a = *desc->arch;
  const uint32_t n_sessions = sessions_of(*plan);
  const uint64_t weights = weight_bytes(*desc, *plan);
  const uint64_t fixed = weights + workspace_bytes(a, plan->n_ctx, std::min(kSmallestBatch, plan->n_ctx));
  const uint32_t dtype = bn::kit::kv_dtype_of(*plan);
  uint32_t fits = 0, too_many = plan->n_ctx + 1;  // [fits] does, [too_many] does not
  while (too_many - fits > 1) {
    const uint32_t n = fits + (too_many - fits) / 2;
    (fixed + session_bytes(a, dtype, n) * n_sessions <= free ? fits : too_many) = n;
  }
  out->n_ctx_fits = fits;
  out->bytes_weights = weights;
  out->bytes_per_token = kv_bytes_per_position(a, dtype);
  out->est_decode_tps = decode_speed(reads_of_step(*desc, *plan), a.n_layers, gpu.facts(), options);
  out->est_prefill_tps = 0.0f;  // unknown: bound by tensor cores, whose rate no driver tells
  return BN_OK;
}

Model::Model(const Surroundings& s, const bn_model_desc& desc, const bn_plan& plan)
    : arch(known_part(*desc.arch)), n_ctx(plan.n_ctx), kv_dtype(bn::kit::kv_dtype_of(plan)), s_(s) {}

Model::~Model() { s_.stream.drain_quietly(); }

uint64_t Model::kv_bytes_per_position(const bn_arch& a, uint32_t dtype) {
  return 2ull * a.n_layers * a.n_kv_heads * a.head_dim * (dtype == BN_DT_F16 ? 2 : 4);
}

uint64_t Model::session_bytes(const bn_arch& a, uint32_t dtype, uint32_t n) {
  return kv_bytes_per_position(a, dtype) * kv_positions(n) + 4ull * n + 4096;
}

void Model::log(const char* format, ...) const {
  char line[240];
  va_list args;
  va_start(args, format);
  const int n = std::vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (n > 0) s_.host.log(s_.host.ctx, 2, line, static_cast<uint64_t>(std::min<int>(n, sizeof line - 1)));
}

bn_status Model::load(const Surroundings& s, const bn_model_desc* desc, const bn_plan* plan, const bn_call* call,
                      std::unique_ptr<Model>* out, bn_error* error) {
  bn::kit::CallWatch watch(call);
  if (const bn_status bad = check_all(desc, plan, error); bad != BN_OK) return bad;
  if (const bn_status bad = check_all_bytes(*desc, *plan, error); bad != BN_OK) return bad;
  std::unique_ptr<Model> m(new Model(s, *desc, *plan));
  Copies copies;
  if (const bn_status bad = m->place(*desc, *plan, &copies, error); bad != BN_OK) return bad;
  if (const bn_status bad = Uploader(s.stream, s.host, *desc, watch).run(copies, error); bad != BN_OK) return bad;
  s.stream.fill(m->workspace_.arrived, 0, 4ull * kFewTokens * m->arch.n_heads);
  s.stream.fill(m->workspace_.not_finite, 0, 4ull * kLogitRows);
  if (m->screened()) m->build_screen();
  const DotPath path = s.options.path ? *s.options.path : m->choose_path();
  m->step_ = std::make_unique<Step>(m->arch, m->n_ctx, m->kv_dtype, m->weights_, m->workspace_, path, s.options.fast,
                                    s.stream.gpu().facts(), s.stream);
  if (const bn_status stop = s.stream.wait(s.stream.record(), &watch, error); stop != BN_OK) return stop;
  m->log("%s: %.0f MB of weights, %.0f MB of workspace for %u tokens at once, head %s, one token by %s%s",
         s.stream.gpu().facts().name.c_str(), megabytes(m->weight_block_.bytes()), megabytes(m->workspace_block_.bytes()),
         m->workspace_.n_batch, m->screened() ? "screened" : "whole", name_of(path), s.options.fast ? ", fast numerics" : "");
  const float speed = decode_speed(reads_of_step(*desc, *plan), m->arch.n_layers, s.stream.gpu().facts(), s.options);
  if (speed > 0) m->log("calculated for one sequence and a short context: %.0f tokens/s", static_cast<double>(speed));
  *out = std::move(m);
  return BN_OK;
}

// Weights and workspace, leaving room for the keys and values of the plan. What does not fit is made smaller: first the batch,
// then the compact copy of the head goes. Neither changes a result.
bn_status Model::place(const bn_model_desc& desc, const bn_plan& plan, Copies* copies, bn_error* error) {
  const bool pays = s_.options.stage >= Stage::kScreened && screening_pays(reads_of_step(desc, plan), s_.stream.gpu().facts());
  const uint32_t whole = batch_of(plan), least = std::min(whole, kSmallestBatch);
  for (const bool screened : {true, false}) {
    if (screened && !pays) continue;
    for (uint32_t n = whole;; n = std::max(n / 2, least)) {
      if (try_place(desc, plan, n, screened, copies)) return BN_OK;
      if (n == least) break;
    }
  }
  uint64_t free = 0, total = 0;
  check(s_.stream.gpu().memory(&free, &total), "asking for free memory");
  return set_error(error, BN_E_NO_MEMORY,
                   "the model needs %.1f MB of the GPU's memory and %.1f MB for a context of %u; %.1f of %.1f MB are free",
                   megabytes(weight_bytes(desc, plan) + workspace_bytes(arch, n_ctx, least)),
                   megabytes(session_bytes(arch, kv_dtype, n_ctx)), n_ctx, megabytes(free), megabytes(total));
}

// Places the arrays of the compact head; returns their bytes.
uint64_t Model::lay_out_screen(uint8_t* base) {
  Carver c(base);
  uint8_t* const table = c.take<uint8_t>(screen_bytes(arch.n_vocab, arch.n_embd));
  screen_work_ = c.take<uint8_t>(screen_work_bytes(arch.n_vocab, arch.n_embd));
  overflow_ = c.take<uint32_t>(1);
  screen_ = screen_table(table, arch.n_vocab, arch.n_embd);
  return c.used();
}

bool Model::try_place(const bn_model_desc& desc, const bn_plan& plan, uint32_t n_batch, bool screened, Copies* copies) {
  Gpu& gpu = s_.stream.gpu();
  uint64_t free = 0, total = 0;
  check(gpu.memory(&free, &total), "asking for free memory");
  const uint64_t weights = weight_bytes(desc, plan), work = workspace_bytes(arch, n_ctx, n_batch);
  const uint64_t screen = screened ? lay_out_screen(nullptr) : 0;
  if (weights + work + screen + session_bytes(arch, kv_dtype, n_ctx) * sessions_of(plan) > free) return false;
  try {
    DeviceBlock weight_block(gpu, weights), work_block(gpu, work);
    DeviceBlock screen_block = screened ? DeviceBlock(gpu, screen) : DeviceBlock();
    Carver hidden;
    const uint64_t n_hidden = uint64_t{kHiddenRows} * arch.n_embd, n_logits = uint64_t{kLogitRows} * arch.n_vocab;
    hidden.take<float>(n_hidden), hidden.take<float>(has(BN_M_NO_HEAD) ? 0 : n_logits), hidden.take<uint32_t>(kLogitRows);
    HostBlock rows(gpu, hidden.used());
    weight_block_ = std::move(weight_block), workspace_block_ = std::move(work_block), screen_block_ = std::move(screen_block);
    row_block_ = std::move(rows);
    Carver row_carver(row_block_.data());
    hidden_rows_ = row_carver.take<float>(n_hidden);
    logit_rows_ = row_carver.take<float>(has(BN_M_NO_HEAD) ? 0 : n_logits);
    not_finite_rows_ = row_carver.take<uint32_t>(kLogitRows);
  } catch (const DeviceError& e) {
    if (trouble_of(e.code) != Trouble::kMemory) throw;
    return false;
  }
  Carver weight_carver(weight_block_.data()), work_carver(workspace_block_.data());
  if (screened) lay_out_screen(screen_block_.data());
  *copies = {};
  weights_ = lay_out(desc, plan, weight_carver, copies);
  workspace_ = lay_out_workspace(arch, n_ctx, n_batch, work_carver);
  return true;
}

// ---------------------------------------------------------------------------------------------- choices

void Model::build_screen() {
  const DeviceTable& t = weights_.head;
  ScreenBuildArgs args{};
  args.head = {t.rows, t.row_scales, nullptr, nullptr, nullptr, t.dtype, arch.n_vocab, arch.n_embd, t.n_row_scales, 1};
  args.screen = screen_;
  stream().fill(overflow_, 0, 4);
  stream().launch(screen_build_kernel(t.dtype), screen_build_shape(args), args);
}

// Milliseconds for one token through the gate and up matrices of up to 16 layers, so that the L2 does not hold them all.
float Model::time_path(DotPath path) {
  const uint32_t n = std::min(arch.n_layers, 16u);
  Stream::Ticket begin = 0, end = 0;
  for (uint32_t round = 0; round < 3; ++round) {  // the last one counts
    begin = stream().record();
    for (uint32_t i = 0; i < n; ++i) {
      const DeviceLinear& w = weights_.layers[i].gate_up[0];
      const MatmulArgs a{w.w,
                         w.scale,
                         nullptr,
                         workspace_.q,
                         workspace_.q_scale,
                         workspace_.q_sum,
                         workspace_.gate_up,
                         w.rows,
                         w.cols,
                         workspace_.q_stride,
                         workspace_.gate_up_stride,
                         1,
                         0};
      stream().launch(gemv_kernel(path), gemv_shape(a, path), a);
    }
    end = stream().record();
  }
  stream().wait(end, nullptr, nullptr);
  return stream().milliseconds(begin, end);
}

DotPath Model::choose_path() {
  stream().fill(workspace_.q, 1, workspace_.q_stride);
  float best_ms = 0;
  DotPath best = DotPath::kDot4;
  for (uint32_t i = 0; i < kDotPaths; ++i) {
    const DotPath path = static_cast<DotPath>(i);
    const float ms = time_path(path);
    log("one token by %s: %.3f ms for %u matrices", name_of(path), static_cast<double>(ms), std::min(arch.n_layers, 16u));
    if (i == 0 || ms < best_ms) best_ms = ms, best = path;
  }
  return best;
}

}  // namespace bn_cuda
