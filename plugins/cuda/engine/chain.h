// engine/chain.h - decoding several tokens without the host: each step draws the token that the next one begins with.
//
// A step is recorded once as a graph (stage s1 and later) and launched again and again, some steps ahead of what the host has
// seen. Drawn tokens arrive in a ring of pinned memory; what is not seen there behind a reached mark has not happened.
// Errors  DeviceError.
#pragma once

#include <vector>

#include "head.h"

namespace bn_cuda {

class Chain {
 public:
  static constexpr uint32_t kAhead = 12;  // steps in flight: of 0.4 ms each on a fast GPU, the host may be late by 4 ms

  Chain(const Model& model, const Sequence& sequence, uint32_t n_ctx);
  ~Chain();
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

  struct Result {
    uint32_t n_drawn = 0;      // by this call
    StepEnd end = kGoingOn;    // why it ended: also kGoingOn, when the watch said stop
    bn_status status = BN_OK;  // of the watch
  };
  // Draws up to n tokens (at most kRing) behind the one at `position`, which has not been through the layers. Nothing is queued
  // when it returns.
  Result run(uint32_t position, uint32_t n, const bn_sampler& sampler, int32_t* tokens, bn::kit::CallWatch& watch,
             bn_error* error);

 private:
  // What a recorded graph depends on.
  struct Key {
    uint64_t seed = 0, n_stop = 0;
    uint32_t top_k = 0;
    float temperature = 0, top_p = 0, min_p = 0;
    bool operator==(const Key&) const = default;
  };

  static Key key_of(const bn_sampler& sampler);
  void queue_next(const bn_sampler& sampler);
  void prepare(uint32_t position, uint32_t n, const bn_sampler& sampler);
  void place_stop_tokens(const bn_sampler& sampler);
  void record_graph(const bn_sampler& sampler);
  void drop_graph();
  void queue_step(const bn_sampler& sampler, bool early);
  DrawTarget target() const;

  const Model& m_;
  const Sequence s_;
  const uint32_t n_ctx_;
  HostBlock ring_block_, stop_host_;
  DeviceBlock stop_;
  int32_t* ring_ = nullptr;
  volatile uint32_t *count_ = nullptr, *end_ = nullptr;
  void* graph_ = nullptr;
  Key graph_key_;
  bool graphs_work_ = true;
};

}  // namespace bn_cuda
