// engine/engine.h - one sequence on one backend: the type everything above sees, whichever tier the plugin has.
//
// The state of an engine is its list of tokens. A kernels plugin is wrapped with the runtime's graph, KV cache and threads; an
// engine plugin brings its own.
// Errors  backend::BackendError with the plugin's status; the engine is then only good for destruction, except after
//         CANCELLED, which leaves the tokens as they were before the call.
// Threads one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "backend/device.h"
#include "base/thread_team.h"
#include "model/model.h"

namespace bitnet::engine {

struct EngineOptions {
  uint32_t n_ctx = 0;        // positions at most
  uint32_t max_batch = 512;  // tokens of one step at most
  uint32_t kv_dtype = BN_DT_F32;
  std::string device_options;  // JSON for the plugin's open(), may be empty
  bool prepack_cache = false;  // keep packed weights on disk and map them at the next start
};

// How the backend uses the model's matrices. Numbers are what happened, not what was planned.
struct EngineInfo {
  uint32_t n_native = 0, n_packed = 0, n_converted = 0;  // matrices
  uint32_t n_cached = 0;                                 // of the packed and converted ones, mapped from the prepack cache
  uint64_t weight_bytes_owned = 0;                       // packed or converted copies
  double pack_seconds = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Appends tokens and writes the logits rows of tokens [first_row, n) to logits [n - first_row][n_vocab].
  virtual void append(std::span<const int32_t> tokens, uint32_t first_row, float* logits, const std::atomic<bool>* cancel) = 0;
  virtual uint32_t size() const = 0;
  virtual uint64_t kv_bytes() const = 0;
  const EngineInfo& info() const { return info_; }

 protected:
  EngineInfo info_;
};

// Opens the candidate's device of its plugin and loads the model into the tier the candidate names. References must outlive the
// engine. Errors: BackendError; Error{kNoMemory}.
std::unique_ptr<Engine> load_engine(const backend::Plugin& plugin, const backend::Candidate& candidate,
                                    const model::Model& model, ThreadTeam& team, const EngineOptions& options);

}  // namespace bitnet::engine
