// engine/worker_engine.h - an engine in a process of its own: whatever a plugin does there, this process goes on.
//
// The worker opens the model and the plugin itself and does what it is told. When it crashes, is killed or does not answer, the
// engine fails with INTERNAL and says how the worker ended.
// Errors  as Engine. Threads one at a time.
#pragma once

#include <string>

#include "engine/engine.h"
#include "engine/worker_process.h"

namespace bitnet::engine {

struct WorkerOptions {
  std::string program;  // absolute path of bn_worker; empty: backends run in this process
  bool allow_unsafe_plugins = false;
  std::string beside = {};  // the program that starts it: plugins in its folder are first party there, too
};

class WorkerEngine final : public Engine {
 public:
  WorkerEngine(const backend::Plugin& plugin, const backend::Candidate& candidate, const model::Model& model, uint32_t threads,
               const EngineOptions& options, const WorkerOptions& worker, Pulse& pulse);

  uint64_t kv_bytes_used() const override { return kv_bytes_used_; }

 private:
  void process(std::span<const int32_t> tokens, uint32_t position, const Output* output, Pulse& pulse) override;
  void drop(uint32_t n) override;
  bool decodes_natively() const override { return true; }
  void decode_natively(const bn_sampler& sampler, DecodeLimit limit, int32_t* tokens, uint32_t& n_committed,
                       Pulse& pulse) override;
  void exchange(const worker::Request& request, const void* payload, uint64_t bytes, int32_t* tokens, uint32_t& n_committed,
                Pulse& pulse);

  WorkerProcess process_;
  uint64_t kv_bytes_used_ = 0;
};

}  // namespace bitnet::engine
