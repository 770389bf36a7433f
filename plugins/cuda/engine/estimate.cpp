// engine/estimate.cpp - see estimate.h.
#include "estimate.h"

#include <algorithm>

#include "../device/head.h"
#include "../device/t2.h"
#include "bitnet/kit/model_description.hpp"
#include "model.h"

namespace bn_cuda {
namespace {

constexpr double kShareOfPeak = 0.9;  // of a card's bandwidth that reading reaches
// Microseconds. Screening: two kernels more, 3 for the digits of x, 6 for candidates and their order, less the 5 of looking
// through all logits.
constexpr double kScreeningUs = 8, kNodeUs = 2.1, kEarlyNodeUs = 1.1, kLaunchUs = 3.0;
constexpr uint32_t kFusedKernels = 5, kPlainKernels = 11, kOtherKernels = 7;  // of a layer; of embedding, head and draw

double bytes_per_us(const DeviceFacts& facts) {
  return kShareOfPeak * static_cast<double>(facts.memory_bytes_per_second) * 1e-6;
}

bool is_screened(const StepReads& reads, const DeviceFacts& facts, const Options& options) {
  return options.stage >= Stage::kScreened && screening_pays(reads, facts);
}

double us_of_a_node(const DeviceFacts& facts, const Options& options) {
  if (options.stage == Stage::kLaunches) return kLaunchUs;
  return options.early_launch && facts.early_launch ? kEarlyNodeUs : kNodeUs;
}

}  // namespace

StepReads reads_of_step(const bn_model_desc& desc, const bn_plan& plan) {
  const bn_arch& a = *desc.arch;
  StepReads reads{};
  Carver count;
  Copies copies;
  lay_out(desc, plan, count, &copies);
  for (const MatrixCopy& m : copies.matrices) reads.matrices += t2_bytes(m.to.rows, m.to.cols);
  const uint32_t positions = std::min(plan.n_ctx, 128u);
  reads.keys_values = positions * Model::kv_bytes_per_position(a, bn::kit::kv_dtype_of(plan));
  if ((a.must & BN_M_NO_HEAD) != 0) return reads;
  const uint32_t role = (a.must & BN_M_TIED_HEAD) != 0 ? BN_T_TOKEN_EMBD : BN_T_OUTPUT;
  const bn_tensor& head = bn::kit::tensor_at(desc, bn::kit::find_tensor(desc, role, BN_NO_LAYER));
  reads.head = uint64_t{head.rows} * bn::kit::dense_row_bytes(head.dtype, head.cols);
  if (can_screen(head.dtype, a.n_vocab, a.n_embd, 1)) reads.head_copy = screen_bytes(a.n_vocab, a.n_embd);
  return reads;
}

bool screening_pays(const StepReads& reads, const DeviceFacts& facts) {
  if (reads.head_copy == 0 || reads.head_copy >= reads.head) return false;
  if (facts.memory_bytes_per_second == 0) return true;
  if (reads.matrices + reads.head + reads.keys_values <= facts.l2_bytes) return false;
  return static_cast<double>(reads.head - reads.head_copy) > kScreeningUs * bytes_per_us(facts);
}

float decode_speed(const StepReads& reads, uint32_t n_layers, const DeviceFacts& facts, const Options& options) {
  if (facts.memory_bytes_per_second == 0) return 0.0f;
  const uint64_t head = is_screened(reads, facts, options) ? reads.head_copy : reads.head;
  const uint32_t kernels = n_layers * (options.stage >= Stage::kFused ? kFusedKernels : kPlainKernels) + kOtherKernels;
  const double us = static_cast<double>(reads.matrices + reads.keys_values + head) / bytes_per_us(facts);
  return static_cast<float>(1e6 / (us + kernels * us_of_a_node(facts, options)));
}

}  // namespace bn_cuda
