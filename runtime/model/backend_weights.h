// model/backend_weights.h - the matrices of a model as one backend wants them: negotiated, converted or packed where needed.
//
// For every matrix the backend's accepts() is asked: as it lies in the file (native), packed from it, or, where it knows
// neither, the same with the interchange layout bn.t2, which every backend must accept. Conversion and packing run in parallel
// on row ranges. Then eight rows of every matrix are multiplied by the backend and compared with the SDK's reference, bit for
// bit (exact-1 only): a wrong layout dies here and not in the text.
//
// With a cache, what was packed or converted is kept on disk and mapped at the next start. Sixteen rows of every matrix of the
// file are then made again and compared; a file that is wrong is removed and made anew.
//
// Memory  native: nothing is copied. Packed and converted matrices are owned or mapped here; the pages of the file that they
// were
//         made from are given back. Both sources must outlive the object.
// Errors  backend::BackendError{UNSUPPORTED} naming matrix, format and shape; the plugin's own error from pack;
//         BackendError{INTERNAL} when the self-test fails.
#pragma once

#include <memory>
#include <vector>

#include "backend/device.h"
#include "backend/ops.h"
#include "base/aligned_buffer.h"
#include "model/weights.h"
#include "store/prepack_cache.h"

namespace bitnet::model {

struct LinearLayer {
  backend::Linear attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down;
};

struct BackendWeights {
  std::vector<LinearLayer> layers;
  std::vector<AlignedBuffer> buffers;                    // packed and converted matrices
  uint32_t n_native = 0, n_packed = 0, n_converted = 0;  // matrices by way of use; converted: native bn.t2
  uint32_t n_cached = 0;                                 // of the packed and converted ones, those mapped from the cache
  uint64_t bytes_owned = 0;
  uint64_t bytes_read = 0;  // of all matrices as the backend reads them
  std::unique_ptr<store::PrepackFile> cached;
};

// cache: null for none; file: where the matrices lie, null: its pages are kept.
BackendWeights prepare_weights(const Weights& weights, backend::Ops& ops, store::PrepackCache* cache = nullptr,
                               const gguf::File* file = nullptr);

}  // namespace bitnet::model
