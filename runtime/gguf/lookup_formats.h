// gguf/lookup_formats.h - TL1 and TL2, whose weights lie in the order in which table-lookup kernels read them (internal to
// gguf/).
//
// Source  the packers of bitnet.cpp: TL1 for 64-bit Arm, TL2 for x86.
// Layout  TL1: a byte is two pairs of neighbouring columns, the first pair in the high nibble, pair = 3 (a+1) + (b+1).
//         TL2: whole tiles of columns as triples, t = 9a + 3b + c: the magnitudes as nibbles, then all signs as bits; the
//         columns left over as pairs; zeros up to a size that does not depend on the tile. Both: one f32 scale, 28 bytes of
//         padding.
// Errors  as ternary_formats.h. Tiles come from find_tile(), so shapes fit.
// Threads all functions are pure.
#pragma once

#include <cstdint>
#include <span>

#include "gguf/reader.h"
#include "gguf/tiles.h"

namespace bitnet::gguf {

void decode_tl1(const TensorInfo& tensor, const Tile& tile, uint64_t row0, uint64_t row1, int8_t* trits);
void decode_tl2(const TensorInfo& tensor, const Tile& tile, uint64_t row0, uint64_t row1, int8_t* trits);

// The scale, checked: finite, above 0, and not exactly 1 unless unit_is_right. TL2: what lies between data and scale is checked
// to be zero.
float lookup_scale(const TensorInfo& tensor, const Tile& tile, bool unit_is_right);

// The rows of one tile, tile.rows x columns trits. TL2 has three parts: magnitudes, signs, pairs.
void encode_tl1(const Tile& tile, uint64_t columns, const int8_t* trits, uint8_t* out);
void encode_tl2(const Tile& tile, uint64_t columns, const int8_t* trits, uint8_t* magnitudes, uint8_t* signs, uint8_t* pairs);

}  // namespace bitnet::gguf
