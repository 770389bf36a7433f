// conformance/toy_model.h - decoders of a few thousand random weights, described as the runtime describes a real model.
//
// Their matrices lie in every way an engine meets: i2s128 and bn.t2 in place, either of them not persistent, read_t2 only.
#pragma once

#include <deque>
#include <vector>

#include "bitnet/engine.h"
#include "bitnet/kit/ternary.hpp"
#include "random.h"

namespace bitnet::conformance {

// What makes one toy differ from the next.
struct ToyShape {
  const char* name;
  uint64_t must = 0;
  uint32_t act = BN_ACT_RELU2, rope_kind = BN_ROPE_HALVES;
  uint32_t n_heads = 4, n_kv_heads = 2, head_dim = 20, rope_dim = 16;
  uint32_t window = 0, kv_dtype = BN_DT_F32, head_dtype = BN_DT_F32;
  float embd_scale = 1.0f;
};
extern const ToyShape kUsualToy;                  // the family of the main model
extern const std::vector<ToyShape> kToyFamilies;  // one for each thing that model.h lets families differ in

class ToyModel {
 public:
  static constexpr uint32_t kContext = 300, kVocabulary = 60;

  explicit ToyModel(const ToyShape& shape);
  ToyModel(const ToyModel&) = delete;
  ToyModel& operator=(const ToyModel&) = delete;

  bn_arch arch = {};
  bn_plan plan = {};
  std::vector<bn_tensor> tensors;
  bool reads_fail = false;  // read_t2 answers BN_E_DATA

  bn_model_desc description();  // leads into this object
  // After load(): whoever looks again at what is not persistent sees nonsense.
  void spoil_what_is_not_persistent();
  std::vector<int32_t> prompt(uint32_t n) const;  // random tokens

 private:
  void add_dense(uint32_t role, uint32_t layer, uint32_t rows, uint32_t cols, uint32_t dtype = BN_DT_F32);
  void add_ternary(uint32_t role, uint32_t layer, uint32_t rows, uint32_t cols, bn::kit::Layout layout, bool persistent);
  bn_tensor& add(uint32_t role, uint32_t layer, uint32_t rows, uint32_t cols);
  static bn_status read_t2(void* context, uint64_t tensor, uint32_t row0, uint32_t row1, void* dst, uint64_t bytes);

  Random random_;
  std::deque<std::vector<float>> values_, scales_;
  std::deque<std::vector<uint8_t>> t2_, stored_;
  std::vector<std::vector<uint8_t>*> passing_;
  std::vector<float> cosine_, sine_;
};

}  // namespace bitnet::conformance
