// gguf/lookup_formats.cpp - where TL1 and TL2 put each weight, and the walks over rows.
#include "gguf/lookup_formats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "gguf/format_error.h"

namespace bitnet::gguf {
namespace {

constexpr int8_t kIllegal = 2;  // what a code without a meaning decodes to

template <class... Args>
[[noreturn]] void refuse(Fault fault, const TensorInfo& tensor, fmt::format_string<Args...> format, Args&&... args) {
  fail_format(fault, {tensor.name, tensor.offset, tensor.bytes, {}, {}}, "tensor '{}' ({}): {}", printable(tensor.name),
              tensor.type->name, fmt::format(format, std::forward<Args>(args)...));
}

// One of the row's trits is kIllegal.
[[noreturn]] void refuse_code(const TensorInfo& tensor, uint64_t row, const int8_t* trits) {
  const auto column = std::find(trits, trits + tensor.columns(), kIllegal) - trits;
  refuse(Fault::kIllegalCode, tensor,
         "illegal code at row {}, column {}: the file is damaged, or written with other tile parameters than those used to "
         "read it",
         row, column);
}

// Four trits of each byte of pairs: 3 (a+1) + (b+1) in the high nibble, the same in the low one. Nibbles above 8 are illegal.
constexpr auto kPairs = [] {
  std::array<std::array<int8_t, 4>, 256> table{};
  for (int byte = 0; byte < 256; ++byte) {
    for (int p = 0; p < 2; ++p) {
      const int v = p == 0 ? byte >> 4 : byte & 15;
      table[static_cast<size_t>(byte)][static_cast<size_t>(2 * p)] = v > 8 ? kIllegal : static_cast<int8_t>(v / 3 - 1);
      table[static_cast<size_t>(byte)][static_cast<size_t>(2 * p + 1)] = v > 8 ? kIllegal : static_cast<int8_t>(v % 3 - 1);
    }
  }
  return table;
}();

uint8_t pair_byte(const int8_t* four) {
  return static_cast<uint8_t>((3 * (four[0] + 1) + four[1] + 1) << 4 | (3 * (four[2] + 1) + four[3] + 1));
}

// Three trits of each magnitude, without and with the sign. Magnitudes above 13 are illegal.
constexpr auto kTriples = [] {
  std::array<std::array<std::array<int8_t, 4>, 16>, 2> table{};
  for (int sign = 0; sign < 2; ++sign) {
    for (int magnitude = 0; magnitude < 16; ++magnitude) {
      const int u = (sign == 0 ? magnitude : -magnitude) + 13;
      auto& three = table[static_cast<size_t>(sign)][static_cast<size_t>(magnitude)];
      if (magnitude > 13) {
        three = {kIllegal, kIllegal, kIllegal, 0};
      } else {
        three = {static_cast<int8_t>(u / 9 - 1), static_cast<int8_t>(u / 3 % 3 - 1), static_cast<int8_t>(u % 3 - 1), 0};
      }
    }
  }
  return table;
}();

// Where TL1 keeps the bytes of a row, within a strip of tile.rows rows: visit(column, offset) for every fourth column. 256 /
// inner columns of `inner` rows take 64 bytes: 16 rows by 4 columns, the next 4 columns, the next 16 rows.
template <class Visit>
void for_tl1_bytes(const Tile& tile, uint64_t row, uint64_t columns, Visit&& visit) {
  const uint64_t by = 256 / tile.inner;
  const uint64_t start = row % tile.rows / tile.inner * (tile.columns / by) * 64 + row % tile.inner / 16 * (by * 4) + row % 16;
  for (uint64_t kb = 0; kb < columns / tile.columns; ++kb) {
    const uint64_t in_tile = start + kb * tile.rows * tile.columns / 4;
    for (uint64_t c = 0; c < tile.columns; c += 4) visit(kb * tile.columns + c, in_tile + c / by * 64 + c % by * 4);
  }
}

// TL2 keeps 32 rows together, the eights of rows in the order 0, 2, 1, 3 where it keeps bytes, in their own where it keeps
// bits.
struct Tl2Row {
  uint64_t rb, byte, word;
  uint32_t bit;  // of the first of eight triples; the following are two bits lower each
  Tl2Row(const Tile& tile, uint64_t row) : rb(row % tile.rows / 32) {
    constexpr uint64_t kOrder[] = {0, 2, 1, 3};
    const uint64_t r = row % 32;
    byte = kOrder[r / 8] * 8 + r % 8;
    word = 2 * (r % 16);
    bit = static_cast<uint32_t>(15 - r / 16);
  }
};

// Every 24 columns of triples: visit(column, offset of the first of 4 bytes of magnitudes, 32 bytes apart; offset of the word
// of signs). A byte of magnitudes is two triples, the first in the high nibble.
template <class Visit>
void for_tl2_triples(const Tile& tile, const Tl2Row& r, uint64_t triple_columns, Visit&& visit) {
  const uint64_t n_rb = tile.rows / 32, n_units = tile.columns / 24;
  for (uint64_t kb = 0; kb < triple_columns / tile.columns; ++kb) {
    for (uint64_t u = 0; u < n_units; ++u) {
      const uint64_t unit = (kb * n_rb + r.rb) * n_units + u;
      visit(kb * tile.columns + 24 * u, unit * 128 + r.byte, unit * 32 + r.word);
    }
  }
}

// Every fourth of the columns left over: visit(column among them, offset).
template <class Visit>
void for_tl2_pairs(const Tile& tile, const Tl2Row& r, uint64_t pair_columns, Visit&& visit) {
  for (uint64_t c = 0; c < pair_columns; c += 4) visit(c, ((c / 32 * (tile.rows / 32) + r.rb) * 8 + c % 32 / 4) * 32 + r.byte);
}

uint16_t load_word(const uint8_t* at) {
  uint16_t word;
  std::memcpy(&word, at, 2);
  return word;
}

// Four trits of a byte of pairs; returns whether one is illegal.
bool put_pairs(uint8_t byte, int8_t* out) {
  const auto& four = kPairs[byte];
  std::memcpy(out, four.data(), 4);
  return four[0] == kIllegal || four[2] == kIllegal;
}

// Six trits of a byte of magnitudes, the sign of the first triple in `bit`, of the second two below it.
bool put_triples(uint8_t byte, uint32_t word, uint32_t bit, int8_t* out) {
  const auto& first = kTriples[word >> bit & 1][byte >> 4];
  const auto& second = kTriples[word >> (bit - 2) & 1][byte & 15];
  std::memcpy(out, first.data(), 3);
  std::memcpy(out + 3, second.data(), 3);
  return first[0] == kIllegal || second[0] == kIllegal;
}

}  // namespace

void decode_tl1(const TensorInfo& tensor, const Tile& tile, uint64_t row0, uint64_t row1, int8_t* trits) {
  const uint64_t columns = tensor.columns();
  for (uint64_t row = row0; row < row1; ++row, trits += columns) {
    const uint8_t* strip = tensor.data + row / tile.rows * (tile.rows * columns / 4);
    bool illegal = false;
    for_tl1_bytes(tile, row, columns, [&](uint64_t c, uint64_t at) { illegal |= put_pairs(strip[at], trits + c); });
    if (illegal) refuse_code(tensor, row, trits);
  }
}

void decode_tl2(const TensorInfo& tensor, const Tile& tile, uint64_t row0, uint64_t row1, int8_t* trits) {
  const Tl2Parts parts = tl2_parts(tensor.extents, tile);
  for (uint64_t row = row0; row < row1; ++row, trits += tensor.columns()) {
    const uint64_t before = row / tile.rows * tile.rows;  // rows of the strips before
    const uint8_t* magnitudes = tensor.data + before * (parts.triple_columns / 6);
    const uint8_t* signs = tensor.data + parts.signs + before * (parts.triple_columns / 24);
    const uint8_t* pairs = tensor.data + parts.pairs + before * (parts.pair_columns / 4);
    const Tl2Row r(tile, row);
    bool illegal = false;
    for_tl2_triples(tile, r, parts.triple_columns, [&](uint64_t c, uint64_t at, uint64_t word_at) {
      const uint16_t word = load_word(signs + word_at);
      for (uint32_t i = 0; i < 4; ++i) illegal |= put_triples(magnitudes[at + 32 * i], word, r.bit - 4 * i, trits + c + 6 * i);
    });
    int8_t* rest = trits + parts.triple_columns;
    for_tl2_pairs(tile, r, parts.pair_columns, [&](uint64_t c, uint64_t at) { illegal |= put_pairs(pairs[at], rest + c); });
    if (illegal) refuse_code(tensor, row, trits);
  }
}

float lookup_scale(const TensorInfo& tensor, const Tile& tile, bool unit_is_right) {
  const uint64_t scale_at = tensor.bytes - tensor.type->tail;
  if (tensor.type->type == Type::kTL2) {
    const uint8_t *begin = tensor.data + tl2_parts(tensor.extents, tile).end, *end = tensor.data + scale_at;
    const uint8_t* found = std::find_if(begin, end, [](uint8_t b) { return b != 0; });
    if (found != end) {
      refuse(Fault::kIllegalCode, tensor,
             "byte {} of its filling is {}, expected 0: the file is damaged, or written with other tile parameters than those "
             "used to read it",
             found - tensor.data, *found);
    }
  }
  float scale = 0;
  std::memcpy(&scale, tensor.data + scale_at, 4);
  if (!std::isfinite(scale) || scale <= 0)
    refuse(Fault::kUnusableNumber, tensor, "its scale is {}, expected a number above 0", scale);
  if (scale == 1.0f && !unit_is_right) {
    refuse(Fault::kUnusableNumber, tensor,
           "its scale is exactly 1: a converter of checkpoints that are already packed writes this and loses the real scale, "
           "which "
           "cannot be recovered from the file; convert the model from its source again, for example to I2_S");
  }
  return scale;
}

void encode_tl1(const Tile& tile, uint64_t columns, const int8_t* trits, uint8_t* out) {
  for (uint64_t row = 0; row < tile.rows; ++row, trits += columns) {
    for_tl1_bytes(tile, row, columns, [&](uint64_t c, uint64_t at) { out[at] = pair_byte(trits + c); });
  }
}

void encode_tl2(const Tile& tile, uint64_t columns, const int8_t* trits, uint8_t* magnitudes, uint8_t* signs, uint8_t* pairs) {
  const uint64_t pair_columns = columns % tile.columns, triple_columns = columns - pair_columns;
  std::memset(signs, 0, tile.rows * (triple_columns / 24));
  for (uint64_t row = 0; row < tile.rows; ++row, trits += columns) {
    const Tl2Row r(tile, row);
    for_tl2_triples(tile, r, triple_columns, [&](uint64_t c, uint64_t at, uint64_t word_at) {
      uint32_t word = load_word(signs + word_at);
      for (uint32_t i = 0; i < 4; ++i) {
        const int8_t* t = trits + c + 6 * i;
        const int first = 9 * t[0] + 3 * t[1] + t[2], second = 9 * t[3] + 3 * t[4] + t[5];
        magnitudes[at + 32 * i] = static_cast<uint8_t>(std::abs(first) << 4 | std::abs(second));
        word |= static_cast<uint32_t>(first < 0) << (r.bit - 4 * i) | static_cast<uint32_t>(second < 0) << (r.bit - 4 * i - 2);
      }
      const auto stored = static_cast<uint16_t>(word);
      std::memcpy(signs + word_at, &stored, 2);
    });
    const int8_t* rest = trits + triple_columns;
    for_tl2_pairs(tile, r, pair_columns, [&](uint64_t c, uint64_t at) { pairs[at] = pair_byte(rest + c); });
  }
}

}  // namespace bitnet::gguf
