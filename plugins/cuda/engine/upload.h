// engine/upload.h - fills the device's weights: rows are packed to T2 in parallel on the host, piece by piece.
//
// Two pinned chunks: while one is on its way, the next is packed.
// Errors  a status and one sentence (a code 3, read_t2 that fails, cancelled, out of time), or DeviceError.
#pragma once

#include "bitnet/kit/call_watch.hpp"
#include "stream.h"
#include "weights.h"

namespace bn_cuda {

class Uploader {
 public:
  // host: for parallel_for; desc: what MatrixCopy indexes. Both outlive this.
  Uploader(Stream& stream, const bn_host& host, const bn_model_desc& desc, bn::kit::CallWatch& watch);
  ~Uploader() { stream_.drain_quietly(); }

  // Everything, and waits until it is there.
  bn_status run(const Copies& copies, bn_error* error);

 private:
  static constexpr uint64_t kChunkBytes = uint64_t{8} << 20;
  struct Chunk {
    HostBlock block;
    uint64_t used = 0;
    Stream::Ticket sent = 0;
    bool in_flight = false;
  };

  bn_status copy(const PlainCopy& c, bn_error* error);
  bn_status copy(const MatrixCopy& m, bn_error* error);
  bn_status vectors(const MatrixCopy& m, bn_error* error);
  bn_status next_chunk(bn_error* error);
  // Room for `bytes` (at most kChunkBytes) in the chunk that is being filled.
  bn_status reserve(uint64_t bytes, uint8_t** room, bn_error* error);

  Stream& stream_;
  const bn_host& host_;
  const bn_model_desc& desc_;
  bn::kit::CallWatch& watch_;
  Chunk chunks_[2];
  uint32_t current_ = 0;
};

}  // namespace bn_cuda
