// engine/plugin_engine.h - an engine that a plugin brings itself (bn.engine/1).
#pragma once

#include <vector>

#include "bitnet/engine.h"
#include "engine/engine.h"
#include "model/rope_tables.h"

namespace bitnet::engine {

class PluginEngine final : public Engine {
 public:
  PluginEngine(backend::OpenDevice device, const model::Model& model, const EngineOptions& options, Pulse& pulse);
  ~PluginEngine() override;

  uint64_t kv_bytes(uint32_t n_tokens) const override;
  void read_kv(uint32_t pos0, uint32_t pos1, void* dst) override;
  uint64_t kv_bytes_used() const override { return 0; }

 private:
  void process(std::span<const int32_t> tokens, uint32_t position, const Output* output, Pulse& pulse) override;
  void drop(uint32_t n) override;
  void place_kv(uint32_t position, std::span<const int32_t> tokens, const void* src) override;
  bool decodes_natively() const override { return decodes_; }
  void decode_natively(const bn_sampler& sampler, DecodeLimit limit, int32_t* tokens, uint32_t& n_committed,
                       Pulse& pulse) override;

  static bn_status read_t2(void* context, uint64_t tensor, uint32_t row0, uint32_t row1, void* dst, uint64_t bytes);
  bn_model_desc describe_model(const model::Model& model);
  void ask_before_loading(const bn_model_desc& desc, const bn_plan& plan);
  const bn_kv_v1* kv_table() const;

  backend::OpenDevice device_;
  const bn_engine_v1* table_;
  std::vector<bn_tensor> tensors_;
  std::vector<const model::Matrix*> matrices_;  // by tensor; null for others
  std::unique_ptr<model::RopeTables> rope_;
  bn_model* model_ = nullptr;
  bn_session* session_ = nullptr;
  bool decodes_ = false;
  bool gives_z_ = true;  // decode() can return z, by which its logits are judged
  uint64_t kv_position_bytes_ = 0;
};

}  // namespace bitnet::engine
