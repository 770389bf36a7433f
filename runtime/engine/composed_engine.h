// engine/composed_engine.h - an engine made of a kernels plugin and the runtime's own graph.
#pragma once

#include "engine/engine.h"
#include "model/graph.h"

namespace bitnet::engine {

class ComposedEngine final : public Engine {
 public:
  ComposedEngine(backend::OpenDevice device, const model::Model& model, ThreadTeam& team, const EngineOptions& options,
                 Pulse& pulse);

  uint64_t kv_bytes(uint32_t n_tokens) const override;
  void read_kv(uint32_t pos0, uint32_t pos1, void* dst) override;
  uint64_t kv_bytes_used() const override { return graph_.kv_bytes(); }

 private:
  void process(std::span<const int32_t> tokens, uint32_t position, const Output* output, Pulse& pulse) override;
  void drop(uint32_t) override {}  // the KV cache beyond the position of the next step is not looked at
  void place_kv(uint32_t position, std::span<const int32_t> tokens, const void* src) override;

  backend::OpenDevice device_;
  backend::Ops ops_;
  model::BackendWeights weights_;
  model::Graph graph_;
  std::vector<float> rows_;  // logits that only the best of are wanted of
};

}  // namespace bitnet::engine
