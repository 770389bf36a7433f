// gguf/tiles.h - the tile parameters of TL1 and TL2, which decide the order of their weights and are not in the file.
//
// Source  the tables that bitnet.cpp's setup script and presets use; kernel_config.ini, which its tuning scripts write.
// Errors  read_kernel_config(): Error{kUsage} naming file, section and key. find_tile(): Error{kInvalidModel} naming the
// tensor,
//         its shape, and what to do.
// Threads all functions are pure but for reading the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf/types.h"

namespace bitnet::gguf {

// One tile is `rows` x `columns` weights (BM, BK); within it `inner` rows lie together (bm, in kernel_config.ini: bmm).
struct Tile {
  uint32_t rows = 0;
  uint32_t columns = 0;
  uint32_t inner = 0;
  bool operator==(const Tile&) const = default;
};

// The tile of the matrices of one shape.
struct TileEntry {
  uint64_t rows = 0;
  uint64_t columns = 0;
  Tile tile;
};
using TileTable = std::vector<TileEntry>;

// Sections of any name, each with the keys m, k, bm, bk, bmm. At least one section, no shape twice.
TileTable read_kernel_config(const std::string& path);

// The entry for the shape: the user's, else the built-in one. `given` may be null. Refuses a shape without an entry, and an
// entry that the format cannot have. name: of the tensor, for messages.
Tile find_tile(const TypeInfo& type, const std::string& name, const Extents& extents, const TileTable* given);

// True when files of this shape were written with two tables, so that the built-in entry may be the wrong one.
bool tile_is_doubtful(const TypeInfo& type, const Extents& extents, const TileTable* given);

// Where the parts of a TL2 tensor begin, in bytes. Columns beyond the last whole tile are packed as pairs.
struct Tl2Parts {
  uint64_t triple_columns, pair_columns;
  uint64_t signs, pairs, end;  // magnitudes begin at 0
};
Tl2Parts tl2_parts(const Extents& extents, const Tile& tile);

}  // namespace bitnet::gguf
