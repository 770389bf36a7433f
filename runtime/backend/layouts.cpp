// backend/layouts.cpp - see layouts.h.
#include "backend/layouts.h"

#include <algorithm>
#include <string_view>

namespace bitnet::backend {
namespace {

bn_format two_bit_format(std::string_view id, uint32_t tile_cols, const uint8_t (&fingerprint)[16]) {
  bn_format format{};
  format.struct_size = sizeof format;
  format.bits_num = 2;
  format.bits_den = 1;
  format.align = 1;
  format.tile_rows = 1;
  format.tile_cols = tile_cols;
  std::copy(id.begin(), id.end(), format.id);
  std::copy_n(fingerprint, 16, format.fingerprint);
  return format;
}

}  // namespace

const bn_format& format_t2() {
  static const bn_format format = two_bit_format("bn.t2", 4, BN_FINGERPRINT_T2);
  return format;
}

const bn_format& format_i2s128() {
  static const bn_format format = two_bit_format("bn.i2s128", 128, BN_FINGERPRINT_I2S128);
  return format;
}

}  // namespace bitnet::backend
