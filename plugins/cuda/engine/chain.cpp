// engine/chain.cpp - steps ahead of the host.
#include "chain.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace bn_cuda {
namespace {

constexpr uint64_t kCountAt = 4ull * kRing, kEndAt = kCountAt + 64, kRingBytes = kEndAt + 64;

}  // namespace

Chain::Chain(const Model& model, const Sequence& sequence, uint32_t n_ctx)
    : m_(model), s_(sequence), n_ctx_(n_ctx), ring_block_(model.stream().gpu(), kRingBytes) {
  ring_ = reinterpret_cast<int32_t*>(ring_block_.data());
  count_ = reinterpret_cast<uint32_t*>(ring_block_.data() + kCountAt);
  end_ = reinterpret_cast<uint32_t*>(ring_block_.data() + kEndAt);
}

Chain::~Chain() { drop_graph(); }

Chain::Key Chain::key_of(const bn_sampler& s) { return {s.seed, s.n_stop, s.top_k, s.temperature, s.top_p, s.min_p}; }

void Chain::drop_graph() {
  if (graph_ == nullptr || is_lost()) return;
  const int code = m_.stream().gpu().release_graph(graph_);
  if (trouble_of(code) == Trouble::kLost) set_lost(code);
  graph_ = nullptr;
}

DrawTarget Chain::target() const {
  uint8_t* const view = ring_block_.device_view();
  return {reinterpret_cast<const int32_t*>(stop_.data()), reinterpret_cast<int32_t*>(view),
          reinterpret_cast<uint32_t*>(view + kCountAt), reinterpret_cast<uint32_t*>(view + kEndAt), n_ctx_};
}

void Chain::queue_step(const bn_sampler& sampler, bool early) {
  Step& step = m_.step();
  step.set_early(early);
  step.one(s_, m_.options().stage);
  step.set_early(false);
  Head(m_, early).draw(s_, sampler, target());
}

// The first step goes kernel by kernel: the driver then has loaded every kernel before one is recorded, and the device works
// while the graph is made.
void Chain::queue_next(const bn_sampler& sampler) {
  if (graph_ != nullptr && graph_key_ == key_of(sampler)) return m_.stream().launch_graph(graph_);
  queue_step(sampler, false);
  record_graph(sampler);
}

// Where no graph can be made, steps are launched kernel by kernel: slower, the same tokens.
void Chain::record_graph(const bn_sampler& sampler) {
  if (m_.options().stage == Stage::kLaunches || !graphs_work_) return;
  drop_graph();
  Gpu& gpu = m_.stream().gpu();
  try {
    check(gpu.begin_graph(), "beginning a graph");
    queue_step(sampler, m_.early_launch());
    check(gpu.end_graph(&graph_), "ending a graph");
    graph_key_ = key_of(sampler);
  } catch (const DeviceError& e) {
    if (is_lost()) throw;
    void* broken = nullptr;
    if (gpu.end_graph(&broken) == 0) gpu.release_graph(broken);
    graph_ = nullptr;
    graphs_work_ = false;
    m_.log("no graph (%s: %s): steps are launched kernel by kernel", e.where, name_of_error(e.code));
  }
}

void Chain::place_stop_tokens(const bn_sampler& sampler) {
  const uint64_t bytes = sizeof(int32_t) * sampler.n_stop;
  if (bytes > stop_.bytes()) {
    drop_graph();  // it knows the old place
    Gpu& gpu = m_.stream().gpu();
    stop_ = DeviceBlock(gpu, bytes);
    stop_host_ = HostBlock(gpu, bytes);
  }
  if (bytes == 0) return;
  std::memcpy(stop_host_.data(), sampler.stop, bytes);
  m_.stream().upload(stop_.data(), stop_host_.data(), bytes);
}

void Chain::prepare(uint32_t position, uint32_t n, const bn_sampler& sampler) {
  *count_ = 0;
  *end_ = kGoingOn;
  place_stop_tokens(sampler);
  const SetStateArgs args{s_.state, {static_cast<int32_t>(position), kGoingOn, 0, n}};
  m_.stream().launch(set_state_kernel(), set_state_shape(), args);
}

Chain::Result Chain::run(uint32_t position, uint32_t n, const bn_sampler& sampler, int32_t* tokens, bn::kit::CallWatch& watch,
                         bn_error* error) {
  Stream& stream = m_.stream();
  n = std::min(n, kRing);
  prepare(position, n, sampler);
  Result result;
  Stream::Ticket ticket[kAhead];
  uint32_t launched = 0;
  while (result.n_drawn < n && result.end == kGoingOn) {
    while (launched < n && launched - result.n_drawn < kAhead) {
      queue_next(sampler);
      ticket[launched++ % kAhead] = stream.record();
    }
    result.status = stream.wait(ticket[result.n_drawn % kAhead], &watch, error);
    if (result.status != BN_OK) break;
    const uint32_t seen = result.n_drawn;
    if (*count_ > seen) {
      tokens[seen] = ring_[seen];
      result.n_drawn = seen + 1;
    }
    // The end is that of the last token that was drawn; steps before it are still to be counted.
    const bool all_seen = *count_ == result.n_drawn;
    if (*end_ != kGoingOn && all_seen) result.end = static_cast<StepEnd>(*end_);
    if (*end_ == kGoingOn && all_seen && result.n_drawn != seen + 1) throw std::runtime_error("decode: a step drew nothing");
  }
  stream.drain();
  return result;
}

}  // namespace bn_cuda
