// gguf/ternary_blocks.h - the bits of one block of each ternary format, both ways (internal to gguf/).
//
// A decoder writes code - 1 for every value of the block, so an illegal code 3 becomes 2, and returns whether all are legal.
// An encoder takes trits -1, 0, +1 and writes every byte of the block but those of a scale.
#pragma once

#include <cstdint>

namespace bitnet::gguf {

// True when one of the four two-bit codes of a byte is 3.
inline uint8_t code_three(uint8_t byte) { return byte & (byte >> 1) & 0x55; }

inline int8_t trit(uint8_t byte, int shift) { return static_cast<int8_t>(((byte >> shift) & 3) - 1); }

// Four trits as codes, the first in the lowest bits.
inline uint8_t four_codes(int a, int b, int c, int d) {
  return static_cast<uint8_t>((a + 1) | (b + 1) << 2 | (c + 1) << 4 | (d + 1) << 6);
}

// I2_S as published: value j of 128 is in byte j % 32, the first 32 values in the highest bits.
inline bool decode_i2s_x86(const uint8_t* in, int8_t* out) {
  uint8_t illegal = 0;
  for (int p = 0; p < 32; ++p) {
    const uint8_t byte = in[p];
    illegal |= code_three(byte);
    out[p] = trit(byte, 6);
    out[p + 32] = trit(byte, 4);
    out[p + 64] = trit(byte, 2);
    out[p + 96] = trit(byte, 0);
  }
  return illegal == 0;
}

inline void encode_i2s_x86(const int8_t* in, uint8_t* out) {
  for (int p = 0; p < 32; ++p) out[p] = four_codes(in[p + 96], in[p + 64], in[p + 32], in[p]);
}

// I2_S of some ARM builds: the same with groups of 64 values in 16 bytes; two groups here.
inline bool decode_i2s_arm64(const uint8_t* in, int8_t* out) {
  uint8_t illegal = 0;
  for (int p = 0; p < 32; ++p) {
    const uint8_t byte = in[p];
    int8_t* group = out + p / 16 * 64 + p % 16;
    illegal |= code_three(byte);
    group[0] = trit(byte, 6);
    group[16] = trit(byte, 4);
    group[32] = trit(byte, 2);
    group[48] = trit(byte, 0);
  }
  return illegal == 0;
}

// Four neighbours in a byte, low bits first: `bytes` bytes.
inline bool decode_sequential(const uint8_t* in, int8_t* out, int bytes) {
  uint8_t illegal = 0;
  for (int p = 0; p < bytes; ++p) {
    illegal |= code_three(in[p]);
    for (int i = 0; i < 4; ++i) out[4 * p + i] = trit(in[p], 2 * i);
  }
  return illegal == 0;
}

inline bool decode_i2s_sequential(const uint8_t* in, int8_t* out) { return decode_sequential(in, out, 32); }

// Q2_0: f16 scale, 16 bytes.
inline bool decode_q2_0(const uint8_t* in, int8_t* out) { return decode_sequential(in + 2, out, 16); }

inline void encode_q2_0(const int8_t* in, uint8_t* out) {
  for (int p = 0; p < 16; ++p) out[2 + p] = four_codes(in[4 * p], in[4 * p + 1], in[4 * p + 2], in[4 * p + 3]);
}

// Q1_0: f16 scale, 16 bytes of signs, a set bit +1, a clear one -1. There is no zero, so only such blocks can be written.
inline bool decode_q1_0(const uint8_t* in, int8_t* out) {
  for (int j = 0; j < 128; ++j) out[j] = static_cast<int8_t>(2 * (in[2 + j / 8] >> (j % 8) & 1) - 1);
  return true;
}

// TQ2_0: two halves of 128 values in 32 bytes, the first 32 values in the lowest bits; f16 scale at 64.
inline bool decode_tq2_0(const uint8_t* in, int8_t* out) {
  uint8_t illegal = 0;
  for (int h = 0; h < 2; ++h) {
    for (int m = 0; m < 32; ++m) {
      const uint8_t byte = in[32 * h + m];
      illegal |= code_three(byte);
      for (int l = 0; l < 4; ++l) out[128 * h + 32 * l + m] = trit(byte, 2 * l);
    }
  }
  return illegal == 0;
}

inline void encode_tq2_0(const int8_t* in, uint8_t* out) {
  for (int h = 0; h < 2; ++h, in += 128, out += 32) {
    for (int m = 0; m < 32; ++m) out[m] = four_codes(in[m], in[m + 32], in[m + 64], in[m + 96]);
  }
}

// IQ2_BN: value j of 64 is in byte j % 16, the first 16 values in the lowest bits.
inline bool decode_iq2_bn(const uint8_t* in, int8_t* out) {
  uint8_t illegal = 0;
  for (int j = 0; j < 16; ++j) {
    illegal |= code_three(in[j]);
    for (int l = 0; l < 4; ++l) out[16 * l + j] = trit(in[j], 2 * l);
  }
  return illegal == 0;
}

inline void encode_iq2_bn(const int8_t* in, uint8_t* out) {
  for (int j = 0; j < 16; ++j) out[j] = four_codes(in[j], in[j + 16], in[j + 32], in[j + 48]);
}

// Base-3 numbers of five digits n as fractions of 256, rounded up.
inline uint8_t base_3_byte(int number) { return static_cast<uint8_t>((number * 256 + 242) / 243); }

// TQ1_0: a byte is a base-3 fraction of 256, most significant digit first. Multiplying by 3^n (mod 256) drops n digits; the
// next one is the integer part of three times what remains. Every byte decodes to digits 0..2.
inline int8_t tq1_digit(uint8_t byte, uint8_t power_of_3) {
  const auto rest = static_cast<uint8_t>(byte * power_of_3);
  return static_cast<int8_t>(((rest * 3) >> 8) - 1);
}

inline bool decode_tq1_0(const uint8_t* in, int8_t* out) {
  constexpr uint8_t kPowers[] = {1, 3, 9, 27, 81};
  for (int n = 0; n < 5; ++n) {
    for (int m = 0; m < 32; ++m) out[32 * n + m] = tq1_digit(in[m], kPowers[n]);
    for (int m = 0; m < 16; ++m) out[160 + 16 * n + m] = tq1_digit(in[32 + m], kPowers[n]);
  }
  for (int n = 0; n < 4; ++n) {
    for (int j = 0; j < 4; ++j) out[240 + 4 * n + j] = tq1_digit(in[48 + j], kPowers[n]);
  }
  return true;
}

// Up to five trits, `step` apart, the first the most significant digit.
inline uint8_t tq1_byte(const int8_t* in, int count, int step) {
  int number = 0;
  for (int n = 0; n < 5; ++n) number = 3 * number + (n < count ? in[n * step] + 1 : 0);
  return base_3_byte(number);
}

inline void encode_tq1_0(const int8_t* in, uint8_t* out) {
  for (int m = 0; m < 32; ++m) out[m] = tq1_byte(in + m, 5, 32);
  for (int m = 0; m < 16; ++m) out[32 + m] = tq1_byte(in + 160 + m, 5, 16);
  for (int m = 0; m < 4; ++m) out[48 + m] = tq1_byte(in + 240 + m, 4, 4);
}

// IQ1_BN: the same idea with the first digit least significant; v + v/2 is 3v/2, its upper bit pair the digit.
inline int8_t iq1_digit(uint8_t byte, int index) {
  constexpr uint8_t kPowers[] = {81, 27, 9, 3, 1};
  const auto rest = static_cast<uint8_t>(byte * kPowers[index]);
  return static_cast<int8_t>(((rest + rest / 2) >> 7) - 1);
}

inline bool decode_iq1_bn(const uint8_t* in, int8_t* out) {
  for (int g = 0; g < 4; ++g) {
    for (int i = 0; i < 15; ++i) out[16 * g + i] = iq1_digit(in[3 * g + i / 5], i % 5);
    out[16 * g + 15] = iq1_digit(in[12], g);
  }
  return true;
}

// Up to five trits, `step` apart, the first the least significant digit.
inline uint8_t iq1_byte(const int8_t* in, int count, int step) {
  int number = 0;
  for (int n = count - 1; n >= 0; --n) number = 3 * number + in[n * step] + 1;
  return base_3_byte(number);
}

inline void encode_iq1_bn(const int8_t* in, uint8_t* out) {
  for (int g = 0; g < 4; ++g) {
    for (int k = 0; k < 3; ++k) out[3 * g + k] = iq1_byte(in + 16 * g + 5 * k, 5, 1);
  }
  out[12] = iq1_byte(in + 15, 4, 16);
}

}  // namespace bitnet::gguf
