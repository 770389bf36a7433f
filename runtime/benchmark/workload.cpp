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
  w.head_macs = static_cast<uint64_t>(model.weights.output.rows) * model.weights.output.cols;
  w.kv_position_bytes = model::KvCache::bytes_per_position(model.config.arch, kv_dtype);
  return w;
}

Work step_work(const Workload& w, uint64_t position, uint64_t n, bool wants_logits) {
  return {static_cast<double>(w.matrix_bytes + (wants_logits ? w.head_bytes : 0) + (position + n) * w.kv_position_bytes),
          static_cast<double>(n) * static_cast<double>(w.matrix_macs)};
}

}  // namespace bitnet::benchmark
