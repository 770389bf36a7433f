// benchmark/workload.cpp - sums over the model's tensors.
#include "benchmark/workload.h"

#include "model/kv_cache.h"

namespace bitnet::benchmark {

Workload count_workload(const model::Model& model, uint32_t kv_dtype) {
  Workload w;
  for (const model::Layer& layer : model.weights.layers) {
    for (const model::Matrix* m :
         {&layer.attn_q, &layer.attn_k, &layer.attn_v, &layer.attn_output, &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
      w.matrix_bytes += m->tensor.bytes;
      w.matrix_macs += static_cast<uint64_t>(m->tensor.rows) * m->tensor.cols;
    }
  }
  w.head_bytes = model.weights.output.bytes;
  w.head_row_bytes = w.head_bytes / model.weights.output.rows;
  w.head_macs = static_cast<uint64_t>(model.weights.output.rows) * model.weights.output.cols;
  w.kv_position_bytes = model::KvCache::bytes_per_position(model.config.arch, kv_dtype);
  return w;
}

double head_bytes_read(const Workload& w, const model::HeadUse& use, uint32_t n_sequences) {
  const auto tokens = static_cast<double>(use.screened + use.fell_back);
  if (tokens == 0) return static_cast<double>(w.head_bytes);
  const auto extra = static_cast<double>(use.candidates * w.head_row_bytes + use.fell_back * w.head_bytes);
  return static_cast<double>(use.screen_bytes) + n_sequences * extra / tokens;
}

Work step_work(const Workload& w, uint64_t position, uint64_t n, double head_bytes, uint64_t n_sequences) {
  return {static_cast<double>(w.matrix_bytes + n_sequences * (position + n) * w.kv_position_bytes) + head_bytes,
          static_cast<double>(n_sequences * n) * static_cast<double>(w.matrix_macs)};
}

}  // namespace bitnet::benchmark
