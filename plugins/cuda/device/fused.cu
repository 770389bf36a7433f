// device/fused.cu - one token: norm and quantisation of x, ternary matrix, and what is done with each output, in one kernel.
//
// A block of 16 warps makes `group` tiles of 16 rows at once; the warps of a tile share the columns. Every block needs all of x
// and its gain: 20 KB from the L2 for 2560 columns, as much as two tiles. So the blocks are few, about one a processor, and the
// groups so large that this is enough: 1 tile for 160 tiles, 2 for 240, 8 for 864. Before it waits for x a block asks for the
// first kBatch loads of each lane (40 KB a block) and has the rest brought to the L2, so the memory works during the norm.
// With 64 registers a thread two blocks fit on a processor: one of this kernel and one of the next, begun early.
#include "fused_input.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kWarps = kFusedWarps, kThreads = kFusedThreads, kMaxGroup = 8;
constexpr uint32_t kBatch = 5;  // loads in flight

BN_BOTH uint32_t groups(uint32_t tiles, uint32_t group) { return (tiles + group - 1) / group; }

// Tiles that a block makes at once, where there are n_blocks.
BN_BOTH uint32_t group_of(uint32_t tiles, uint32_t n_blocks, uint32_t least) {
  uint32_t group = least;
  while (group < kMaxGroup && groups(tiles, group) > n_blocks) group *= 2;
  return group;
}

// Planes of Bits stay in shared memory: to make them from the codes costs 26 operations, to read them one.
struct BitsKept : Bits {
  static constexpr uint32_t kKeptBytes = 256;  // of a tile
  BN_DEVICE void keep(const int8_t* codes, uint32_t tiles, uint8_t* kept) {
    for (uint32_t tile = warp_index(); tile < tiles; tile += kWarps) {
      reinterpret_cast<X*>(kept)[32 * tile + lane_index()] = prepare(codes + tile * kTileCols);
    }
    sync_block();
  }
  BN_DEVICE X at(const int8_t*, const uint8_t* kept, uint32_t tile) {
    return reinterpret_cast<const X*>(kept)[32 * tile + lane_index()];
  }
};
template <class Path>
struct FromCodes : Path {
  static constexpr uint32_t kKeptBytes = 0;
  BN_DEVICE void keep(const int8_t*, uint32_t, uint8_t*) {}
  BN_DEVICE typename Path::X at(const int8_t* codes, const uint8_t*, uint32_t tile) {
    return Path::prepare(codes + tile * kTileCols);
  }
};

// Loads of one lane: up to kBatch tiles of columns from `begin` on, of the row tile that begins at w.
BN_DEVICE void load_batch(Words4 (&batch)[kBatch], const uint8_t* w, uint32_t begin, uint32_t parts, uint32_t tiles) {
  BN_UNROLL
  for (uint32_t i = 0; i < kBatch; ++i) {
    if (begin + i * parts < tiles) batch[i] = load_stream(w + uint64_t{begin + i * parts} * kTileBytes + 16 * lane_index());
  }
}

// What the block will need before long comes to the L2: the gain, the rest of the first group, the group after it. m: a matrix
// of which a group has `bytes`; first: the first of its groups that is not loaded yet.
BN_DEVICE void ask_ahead(const FusedPart& m, uint32_t cols, uint64_t bytes, uint32_t first) {
  if (m.gain != nullptr) {
    for (uint32_t i = 32 * thread_index(); i < cols; i += 32 * kThreads) prefetch_l2(m.gain + i);
  }
  const uint64_t end = uint64_t{row_tiles(m.rows)} * col_tiles(cols) * kTileBytes;
  for (uint32_t round = first; round < 2; ++round) {
    const uint64_t begin = (uint64_t{round} * n_blocks_x() + block_x()) * bytes;
    for (uint64_t i = begin + 128 * thread_index(); i < begin + bytes && i < end; i += 128 * kThreads) prefetch_l2(m.w + i);
  }
}

// The outputs of a group from the parts of its warps, one thread each. apart: kGlu of two matrices, tiles of both by turns.
template <Epilogue kEpilogue>
BN_DEVICE void finish(const FusedArgs& a, const FusedPart& m, bool apart, uint32_t first_tile, uint32_t group,
                      const CodesOf* codes, const int32_t* partial) {
  const uint32_t parts = kWarps / group, i = thread_index();
  const auto value = [&](uint32_t tile, uint32_t row_of_tile, const CodesOf& x, const float* scale, const float* bias,
                         uint32_t row) {
    int32_t dot = -x.sum;
    for (uint32_t p = 0; p < parts; ++p) dot += partial[16 * (tile * parts + p) + row_of_tile];
    const float v = static_cast<float>(dot) * (x.scale * scale[row]);
    return bias != nullptr ? v + bias[row] : v;
  };
  if constexpr (kEpilogue == Epilogue::kGlu) {
    const uint32_t y_at = 8 * first_tile + i;
    if (i >= 8 * group || y_at >= (apart ? m.rows : m.rows / 2)) return;
    const uint32_t tile = apart ? i / 16 * 2 : i / 8, row = apart ? i % 16 : i % 8;
    const uint32_t at = apart ? y_at : (first_tile + tile) * kTileRows + row;
    const float gate = value(tile, row, codes[0], m.w_scale, m.bias, at);
    const float up = apart ? value(tile + 1, row, codes[1], a.part[1].w_scale, a.part[1].bias, at)
                           : value(tile, row + 8, codes[0], m.w_scale, m.bias, at + 8);
    m.y[y_at] = bn::kit::glu_element(a.act, gate, up);
  } else {
    const uint32_t row = kTileRows * first_tile + i;
    if (i >= kTileRows * group || row >= m.rows) return;
    const float v = value(i / kTileRows, i % kTileRows, codes[0], m.w_scale, m.bias, row);
    m.y[row] = kEpilogue == Epilogue::kAdd ? m.y[row] + v : v;
  }
}

template <class Path, Epilogue kEpilogue>
BN_GLOBAL_FITTING(kThreads, 2)
void fused(FusedArgs a) {
  dependents_may_start();
  const uint32_t index = kEpilogue == Epilogue::kStore ? block_y() : 0;
  const FusedPart& m = a.part[index];
  const bool apart = kEpilogue == Epilogue::kGlu && a.n_parts == 2;
  const uint32_t shift = apart ? 1 : 0;  // row tiles of both matrices by turns: tile t is t/2 of the first or the second
  const uint32_t n_row_tiles = row_tiles(m.rows) << shift, tiles = col_tiles(a.cols);
  const uint32_t group = group_of(n_row_tiles, n_blocks_x(), 1 + shift), parts = kWarps / group;
  const uint32_t tile_of_group = warp_index() / parts, part = warp_index() % parts;
  const uint32_t row_bytes = tiles * kTileBytes;
  const uint32_t which = tile_of_group & shift;  // of the two
  const auto row_at = [&](uint32_t t) { return a.part[index + which].w + uint64_t{t >> shift} * row_bytes; };
  Words4 batch[kBatch];
  uint32_t row_tile = block_x() * group + tile_of_group;
  if (row_tile < n_row_tiles) load_batch(batch, row_at(row_tile), part, parts, tiles);
  const uint32_t first_missing = tiles > kBatch * parts ? 0 : 1;
  ask_ahead(m, a.cols, uint64_t{group >> shift} * row_bytes, first_missing);
  if (apart) ask_ahead(a.part[1], a.cols, uint64_t{group >> shift} * row_bytes, first_missing);
  dependency_wait();
  if (block_x() * group >= n_row_tiles) return;  // the widest of several matrices has more blocks

  uint8_t* shared = shared_memory<uint8_t>();
  const Places places = places_of(a.cols, Path::kKeptBytes, apart, has_own_x(a));
  take_input(a, index, apart, places, shared);
  const int8_t* codes = reinterpret_cast<const int8_t*>(shared) + which * tiles * kTileCols;
  const uint8_t* kept = shared + places.kept + which * tiles * Path::kKeptBytes;
  Path::keep(reinterpret_cast<const int8_t*>(shared), tiles << shift, shared + places.kept);

  int32_t* partial = reinterpret_cast<int32_t*>(shared + places.partial);
  for (uint32_t first = block_x() * group; first < n_row_tiles; first += n_blocks_x() * group) {
    row_tile = first + tile_of_group;
    const uint32_t next_tile = row_tile + n_blocks_x() * group;
    typename Path::Sums sums;
    for (uint32_t begin = part; begin < tiles && row_tile < n_row_tiles; begin += kBatch * parts) {
      BN_UNROLL
      for (uint32_t i = 0; i < kBatch; ++i) {
        const uint32_t tile = begin + i * parts;
        if (tile < tiles) Path::add(sums, batch[i], Path::at(codes, kept, tile));
      }
      const bool more = begin + kBatch * parts < tiles;
      if (more || next_tile < n_row_tiles) {
        load_batch(batch, row_at(more ? row_tile : next_tile), more ? begin + kBatch * parts : part, parts, tiles);
      }
    }
    Path::publish_first(sums, partial + 16 * warp_index());
    sync_block();  // the other half of `partial` is free: who reads it reaches this only afterwards
    finish<kEpilogue>(a, m, apart, first, group, reinterpret_cast<const CodesOf*>(shared + places.numbers), partial);
    partial = reinterpret_cast<int32_t*>(shared + places.partial) +
              (partial == reinterpret_cast<int32_t*>(shared + places.partial) ? 16 * kWarps : 0);
  }
}

template <class Path>
struct Kernels {
  static const Kernel& with(Epilogue epilogue, const char* store, const char* add, const char* glu) {
    static const Kernel kernels[] = {KernelOf<FusedArgs>::template make<fused<Path, Epilogue::kStore>>(store),
                                     KernelOf<FusedArgs>::template make<fused<Path, Epilogue::kAdd>>(add),
                                     KernelOf<FusedArgs>::template make<fused<Path, Epilogue::kGlu>>(glu)};
    return kernels[static_cast<uint32_t>(epilogue)];
  }
};

}  // namespace

const Kernel& fused_kernel(DotPath path, Epilogue epilogue) {
  switch (path) {
    case DotPath::kDot4:
      return Kernels<FromCodes<Dot4>>::with(epilogue, "fused dp4a store", "fused dp4a add", "fused dp4a glu");
    case DotPath::kBits:
      return Kernels<BitsKept>::with(epilogue, "fused b1 store", "fused b1 add", "fused b1 glu");
    default:
      return Kernels<FromCodes<Bytes>>::with(epilogue, "fused int8 store", "fused int8 add", "fused int8 glu");
  }
}

Shape fused_shape(const FusedArgs& a, DotPath path, Epilogue epilogue, uint32_t n_processors) {
  const bool apart = epilogue == Epilogue::kGlu && a.n_parts == 2;
  uint32_t rows = 0;
  for (uint32_t i = 0; i < a.n_parts; ++i) rows = a.part[i].rows > rows ? a.part[i].rows : rows;
  const uint32_t least = apart ? 2 : 1, tiles = least * ((rows + kTileRows - 1) / kTileRows);
  uint32_t group = group_of(tiles, n_processors + n_processors / 4, least);
  if (groups(tiles, group) > n_processors + n_processors / 4) group = groups(tiles, n_processors);
  const Places places = places_of(a.cols, path == DotPath::kBits ? BitsKept::kKeptBytes : 0, apart, has_own_x(a));
  return {groups(tiles, group), apart ? 1 : a.n_parts, kThreads, places.end};
}

}  // namespace bn_cuda
