// engine/engine.cpp - picks the tier a plugin offers.
#include "engine/engine.h"

#include <optional>

#include "engine/composed_engine.h"
#include "engine/plugin_engine.h"

namespace bitnet::engine {

std::unique_ptr<Engine> load_engine(const backend::Plugin& plugin, const backend::Candidate& candidate,
                                    const model::Model& model, ThreadTeam& team, const EngineOptions& options) {
  backend::OpenDevice device(plugin, candidate.device, options.device_options);
  if (candidate.tier != "kernels" && device.engine() != nullptr)
    return std::make_unique<PluginEngine>(std::move(device), model, options);
  if (candidate.tier == "engine") throw backend::BackendError(BN_E_UNSUPPORTED, "offers no bn.engine/1");
  if (device.kernels() == nullptr) {
    throw backend::BackendError(BN_E_UNSUPPORTED, "offers neither bn.engine/1 nor bn.kernels/1");
  }
  if (!model.has_tensors()) {
    throw backend::BackendError(BN_E_UNSUPPORTED, "needs weights, and the model file holds only a vocabulary");
  }
  std::optional<store::PrepackCache> cache;
  if (options.prepack_cache) cache.emplace(model.file.path(), plugin.id, plugin.version);
  return std::make_unique<ComposedEngine>(std::move(device), model, team, options,
                                          cache && cache->is_there() ? &*cache : nullptr);
}

}  // namespace bitnet::engine
