// engine/session.h - one sequence: its tokens, keys and values on the device, append and decode as engine.h defines them.
//
// Tokens [0, n_processed) have keys and values on the device. The last token goes through the layers when something is asked
// about it: with an output, or by decode(). truncate() only lowers numbers.
// Errors  a status and one sentence, or DeviceError. After a status the session is as engine.h says, and nothing is queued.
#pragma once

#include <memory>
#include <vector>

#include "bitnet/kit/pooling.hpp"
#include "chain.h"

namespace bn_cuda {

class Session {
 public:
  static bn_status create(const Model& model, uint32_t n_ctx, std::unique_ptr<Session>* out, bn_error* error);
  ~Session() { m_.stream().drain_quietly(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  bn_status append(const int32_t* tokens, uint32_t n, bn_output* out, const bn_call* call, bn_error* error);
  bn_status decode(bn_decode* d, const bn_call* call, bn_error* error);
  bn_status truncate(uint32_t n_tokens, bn_error* error);

 private:
  using Watch = bn::kit::CallWatch;
  // Rows of an append, as they come from the device.
  struct Rows {
    bn_output& out;
    const uint32_t first;  // position of row 0
    bn::kit::Pooler pooler;
  };

  Session(const Model& model, uint32_t n_ctx);

  uint32_t size() const { return static_cast<uint32_t>(tokens_.size()); }
  void forget(uint32_t n);
  void send_tokens();
  void set_state(uint32_t position);
  // Everything up to position `end` through the layers; rows: null when none are wanted.
  bn_status process(uint32_t end, Rows* rows, Watch& watch, bn_error* error);
  bn_status write_rows(uint32_t position, uint32_t n, Rows& rows, Watch& watch, bn_error* error);
  // hidden and, unless only that is wanted, logits of x[first, first + n) into the pinned rows of the model.
  bn_status fetch_rows(uint32_t first, uint32_t n, bool logits, Watch& watch, bn_error* error);
  bn_status decode_one_here(bn_decode* d, Watch& watch, bn_error* error);
  bn_status decode_there(bn_decode* d, uint32_t n, Watch& watch, bn_error* error);
  void commit(bn_decode* d, int32_t token);
  bn_status check_decode_output(const bn_decode& d, bn_error* error) const;

  const Model& m_;
  const uint32_t n_ctx_;
  std::vector<int32_t> tokens_;
  uint32_t n_processed_ = 0;  // tokens whose keys and values are on the device
  uint32_t n_sent_ = 0;       // tokens that are in s_.tokens
  DeviceBlock block_;
  HostBlock token_block_;  // [n_ctx], what is uploaded
  Sequence s_{};
  std::unique_ptr<Chain> chain_;
};

}  // namespace bn_cuda
