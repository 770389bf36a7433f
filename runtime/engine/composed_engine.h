// engine/composed_engine.h - an engine made of a kernels plugin and the runtime's own graph.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/engine.h"
#include "model/graph.h"
#include "model/screened_head.h"
#include "store/prepack_cache.h"

namespace bitnet::engine {

// What was made at an earlier start, on disk.
struct LoadCaches {
  // pulse: beats while the model file is hashed.
  LoadCaches(bool use, const std::string& model_path, const backend::Plugin& plugin, Pulse& pulse);

  store::PrepackCache* weights() { return weights_ ? &*weights_ : nullptr; }  // of the plugin; null: none
  store::PrepackCache* head() { return head_ ? &*head_ : nullptr; }           // the same for all plugins

 private:
  std::optional<store::PrepackCache> weights_, head_;
};

class ComposedEngine final : public Engine {
 public:
  // caches: used while loading.
  ComposedEngine(backend::OpenDevice device, const model::Model& model, ThreadTeam& team, const EngineOptions& options,
                 LoadCaches caches, Pulse& pulse);

  uint64_t kv_bytes(uint32_t n_tokens) const override;
  void read_kv(uint32_t pos0, uint32_t pos1, void* dst) override;
  uint64_t kv_bytes_used() const override { return kv_.bytes(); }

 private:
  void process(std::span<const int32_t> tokens, uint32_t position, const Output* output, Pulse& pulse) override;
  void drop(uint32_t) override {}  // the KV cache beyond the position of the next step is not looked at
  bool best_are_cheap(uint32_t k) const override { return graph_.searches(1, k); }
  // Rows [row, row + n) of what is wanted, from the last step and its logits.
  void take_best(const Output& output, uint32_t row, uint32_t n, const float* logits) const;
  void place_kv(uint32_t position, std::span<const int32_t> tokens, const void* src) override;

  const bn_arch& arch_;
  backend::OpenDevice device_;
  backend::Ops ops_;
  model::BackendWeights weights_;
  std::unique_ptr<model::ScreenedHead> head_;  // null: used as stored
  model::Graph graph_;
  model::KvCache kv_;
  std::vector<float> rows_;  // logits that only the best of are wanted of
};

}  // namespace bitnet::engine
