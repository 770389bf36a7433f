// conformance/engine_calls.h - single calls of a session whose status and sentence are looked at.
#pragma once

#include "engine_session.h"

namespace bitnet::conformance {

struct Refused {
  bn_status status;
  bn_error error;
};
inline void expect_refused(const Refused& r, bn_status expected, const char* what) {
  expect(r.status == expected, say("%s answered %s, expected %s", what, status_name(r.status), status_name(expected)));
  expect(r.error.message[0] != '\0', say("%s refused without a sentence", what));
}

inline Refused raw_append(const EngineSession& e, const std::vector<int32_t>& tokens, const bn_call* call = nullptr) {
  Refused r = {BN_OK, fresh_error()};
  r.status = e.model().engine.append(e.handle(), tokens.data(), static_cast<uint32_t>(tokens.size()), nullptr, call, &r.error);
  return r;
}
inline Refused raw_decode(const EngineSession& e, const bn_sampler& sampler, uint32_t steps, const bn_call* call = nullptr,
                          uint32_t* committed = nullptr) {
  Refused r = {BN_OK, fresh_error()};
  std::vector<int32_t> tokens(steps);
  bn_decode d = {sizeof(bn_decode), steps, &sampler, tokens.data(), 77, 0, nullptr};
  r.status = e.model().engine.decode(e.handle(), &d, call, &r.error);
  if (committed != nullptr) *committed = d.n_committed;
  return r;
}

}  // namespace bitnet::conformance
