// bench/workload.cpp - sums over the model's tensors.
#include "workload.h"

#include "model/kv_cache.h"

namespace bitnet::bench {

Workload count_workload(const model::Model& model) {
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
  w.kv_position_bytes = model::KvCache::bytes_per_position(model.config.arch, BN_DT_F32);
  return w;
}

}  // namespace bitnet::bench
