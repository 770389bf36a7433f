// engine/plugin_engine.h - an engine that a plugin brings itself (bn.engine/1).
//
// This version asks for load, session_create and append with full logits.
#pragma once

#include <vector>

#include "bitnet/engine.h"
#include "engine/engine.h"
#include "model/rope_tables.h"

namespace bitnet::engine {

class PluginEngine final : public Engine {
 public:
  PluginEngine(backend::OpenDevice device, const model::Model& model, const EngineOptions& options);
  ~PluginEngine() override;

  void append(std::span<const int32_t> tokens, uint32_t first_row, float* logits, const std::atomic<bool>* cancel) override;
  uint32_t size() const override { return size_; }
  uint64_t kv_bytes() const override { return 0; }  // on the device, unknown

 private:
  static bn_status read_t2(void* context, uint64_t tensor, uint32_t row0, uint32_t row1, void* dst, uint64_t bytes);

  backend::OpenDevice device_;
  const bn_engine_v1* table_;
  uint32_t n_ctx_;
  std::vector<bn_tensor> tensors_;
  std::vector<const model::Matrix*> matrices_;  // by tensor; null for others
  std::unique_ptr<model::RopeTables> rope_;
  bn_model* model_ = nullptr;
  bn_session* session_ = nullptr;
  uint32_t size_ = 0;
};

}  // namespace bitnet::engine
