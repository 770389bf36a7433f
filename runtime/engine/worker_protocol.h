// engine/worker_protocol.h - what bitnet-run and its worker process say to each other.
//
// A stream socket carries a request, then its reply, strictly in turns; both are of the same build, so structs are sent as they
// lie. A shared file (memfd) holds the pulse in its first page and behind it logits,
// [rows][n_vocab] float, or hidden states as Output has them. Parent and worker
// are not equals: the worker runs foreign code, so the parent believes no length it is told.
#pragma once

#include <cstdint>

#include "bitnet/engine.h"
#include "engine/engine.h"

namespace bitnet::engine::worker {

inline constexpr int kSocket = 3, kSharedFile = 4;  // descriptors in the worker
inline constexpr uint64_t kRowsOffset = 4096;       // of the logits in the shared file
inline constexpr uint32_t kMaxMessage = 1000;       // bytes of an error's text
inline constexpr uint32_t kMaxText = 1u << 16;      // bytes of a load request

enum class Call : uint32_t { kLoad = 1, kAppend = 2, kDecode = 3, kTruncate = 4 };

// Followed by n_tokens int32: the tokens to append, or the stop tokens of a decode; or by n_text bytes of JSON (kLoad).
struct Request {
  Call call = Call::kLoad;
  uint32_t n_text = 0;
  uint32_t n_tokens = 0;
  uint32_t first = 0;        // kAppend: rows wanted of tokens [first, n_tokens)
  uint32_t hidden = 0;       // kAppend: hidden states are wanted, not logits
  uint32_t keep = 0;         // kTruncate
  DecodeLimit limit;         // kDecode
  uint64_t shared_size = 0;  // of the shared file by now
  bn_sampler sampler{};      // kDecode; its pointers mean nothing
};

// Followed by n_committed int32 (kDecode), then n_message bytes of text.
struct Reply {
  bn_status status = BN_OK;
  uint32_t unusable_logits = 0;  // the failure is UnusableLogits
  uint32_t n_committed = 0;
  uint32_t n_message = 0;
  EngineInfo info;
  uint64_t kv_bytes_used = 0;
};

// Whole messages over the socket. False when the other side is gone.
bool send_all(int socket, const void* data, uint64_t bytes);
bool receive_all(int socket, void* data, uint64_t bytes);

}  // namespace bitnet::engine::worker
