// engine/composed_engine.h - an engine made of a kernels plugin and the runtime's own graph.
#pragma once

#include "engine/engine.h"
#include "model/graph.h"

namespace bitnet::engine {

class ComposedEngine final : public Engine {
 public:
  // cache: of packed weights, used while loading; null for none.
  ComposedEngine(backend::OpenDevice device, const model::Model& model, ThreadTeam& team, const EngineOptions& options,
                 store::PrepackCache* cache = nullptr);

  void append(std::span<const int32_t> tokens, uint32_t first_row, float* logits, const std::atomic<bool>* cancel) override;
  uint32_t size() const override { return size_; }
  uint64_t kv_bytes() const override { return graph_.kv_bytes(); }

 private:
  backend::OpenDevice device_;
  uint32_t n_vocab_;
  uint32_t n_ctx_;
  backend::Ops ops_;
  model::BackendWeights weights_;
  model::Graph graph_;
  uint32_t size_ = 0;
};

}  // namespace bitnet::engine
