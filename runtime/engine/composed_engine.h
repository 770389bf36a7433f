// engine/composed_engine.h - an engine made of a kernels plugin and the runtime's own graph.
//
// Sequences of one loaded model share the device, the weights as the backend wants them, the graph's memory and the head; each
// has its own keys and values.
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

// A model on a kernels plugin, without any sequence.
struct ComposedModel {
  // caches: used while loading.
  ComposedModel(backend::OpenDevice device, const model::Model& model, ThreadTeam& team, const EngineOptions& options,
                LoadCaches caches, Pulse& pulse);

  EngineInfo info;
  const bn_arch& arch;
  backend::OpenDevice device;
  backend::Ops ops;
  model::BackendWeights weights;
  std::unique_ptr<model::ScreenedHead> head;  // null: used as stored
  model::Graph graph;
  std::vector<float> rows;  // logits of a step that do not go to the caller as they are
};

class ComposedEngine final : public Engine {
 public:
  ComposedEngine(std::shared_ptr<ComposedModel> model, uint32_t n_ctx, uint32_t kv_dtype);

  std::unique_ptr<Engine> another() override;
  uint64_t kv_bytes(uint32_t n_tokens) const override;
  void read_kv(uint32_t pos0, uint32_t pos1, void* dst) override;
  uint64_t kv_bytes_used() const override { return kv_.bytes(); }

 private:
  void process(std::span<const int32_t> tokens, uint32_t position, const Output* output, Pulse& pulse) override;
  void process_together(std::span<const Piece> pieces, Pulse& pulse) override;
  void drop(uint32_t) override {}  // the KV cache beyond the position of the next step is not looked at
  bool best_are_cheap(uint32_t n_rows, uint32_t k) const override { return model_->graph.searches(n_rows, k); }
  struct Rows;  // of a piece, that a step of the graph gave
  void hand_out(const Rows& rows, bool best_only) const;
  void place_kv(uint32_t position, std::span<const int32_t> tokens, const void* src) override;

  std::shared_ptr<ComposedModel> model_;
  model::KvCache kv_;
};

}  // namespace bitnet::engine
