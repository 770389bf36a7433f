// model/rope_tables.cpp - the SDK's canonical tables, 128 positions at a time.
#include "model/rope_tables.h"

#include <algorithm>

#include "bitnet/kit/rope_tables.hpp"

namespace bitnet::model {

RopeTables::RopeTables(const Config& config, const float* factors, uint32_t n_ctx)
    : config_(config),
      factors_(factors),
      n_ctx_(n_ctx),
      cosine_(4ull * n_ctx * (config.arch.rope_dim / 2)),
      sine_(4ull * n_ctx * (config.arch.rope_dim / 2)) {}

void RopeTables::reserve(uint32_t n) {
  if (n <= filled_) return;
  const uint32_t end = std::min(n_ctx_, (n + BN_KV_PAGE - 1) / BN_KV_PAGE * BN_KV_PAGE), half = config_.arch.rope_dim / 2;
  bn::kit::fill_rope_tables(filled_, end, config_.arch.rope_dim, config_.arch.rope_base, config_.rope_scale, factors_,
                            cosine_.as<float>() + static_cast<uint64_t>(filled_) * half,
                            sine_.as<float>() + static_cast<uint64_t>(filled_) * half);
  filled_ = end;
}

}  // namespace bitnet::model
