// device/fused.cu - one token: norm and quantisation of x, ternary matrix, and what is done with each output, in one kernel.
//
// A block of 16 warps makes `group` tiles of 16 rows at once; the warps of a tile share the columns. Every block needs all of x
// and its gain: 20 KB from the L2 for 2560 columns, as much as two tiles. So the blocks are few, about one a processor, and the
// groups so large that this is enough: 1 tile for 160 tiles, 2 for 240, 8 for 864. Before it waits for x a block asks for the
// first kBatch loads of each lane (40 KB a block) and has the rest brought to the L2, so the memory works during the norm.
// With 64 registers a thread two blocks fit on a processor: one of this kernel and one of the next, begun early.
#include "block_norm.h"
#include "dots.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kWarps = 16, kThreads = 32 * kWarps, kMaxGroup = 8;
constexpr uint32_t kBatch = 5;  // loads in flight

BN_BOTH uint32_t groups(uint32_t tiles, uint32_t group) { return (tiles + group - 1) / group; }

// Tiles that a block makes at once, where there are n_blocks.
BN_BOTH uint32_t group_of(uint32_t tiles, uint32_t n_blocks) {
  uint32_t group = 1;
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

// Where things lie in shared memory. kept_bytes: of one tile of columns.
struct Places {
  uint32_t kept, scratch, sums, partial, end;
};
BN_BOTH Places places_of(uint32_t cols, uint32_t kept_bytes) {
  const uint32_t tiles = (cols + kTileCols - 1) / kTileCols;
  Places p = {};
  p.kept = tiles * kTileCols;  // the codes are at 0
  p.scratch = p.kept + tiles * kept_bytes;
  p.sums = p.scratch + measure_bytes(cols);
  p.partial = p.sums + kWarps * 4;
  p.end = p.partial + 2 * kWarps * 16 * 4;
  return p;
}

// Loads of one lane: up to kBatch tiles of columns from `begin` on, of the row tile that begins at w.
BN_DEVICE void load_batch(Words4 (&batch)[kBatch], const uint8_t* w, uint32_t begin, uint32_t parts, uint32_t tiles) {
  BN_UNROLL
  for (uint32_t i = 0; i < kBatch; ++i) {
    if (begin + i * parts < tiles) batch[i] = load_stream(w + uint64_t{begin + i * parts} * kTileBytes + 16 * lane_index());
  }
}

// What the block will need before long comes to the L2: the gain, the rest of the first group, the group after it.
BN_DEVICE void ask_ahead(const FusedArgs& a, const uint8_t* w, uint64_t bytes, uint32_t parts) {
  const uint32_t tiles = col_tiles(a.m.cols);
  if (a.gain != nullptr) {
    for (uint32_t i = 32 * thread_index(); i < a.m.cols; i += 32 * kThreads) prefetch_l2(a.gain + i);
  }
  const uint64_t end = uint64_t{row_tiles(a.m.rows)} * tiles * kTileBytes;
  for (uint32_t round = tiles > kBatch * parts ? 0 : 1; round < 2; ++round) {
    const uint64_t begin = (uint64_t{round} * n_blocks_x() + block_x()) * bytes;
    for (uint64_t i = begin + 128 * thread_index(); i < begin + bytes && i < end; i += 128 * kThreads) prefetch_l2(w + i);
  }
}

// The outputs of a group from the parts of its warps, one thread each.
template <Epilogue kEpilogue>
BN_DEVICE void finish(const FusedArgs& a, uint32_t first_tile, uint32_t group, int32_t x_sum, float x_scale, const int32_t* partial) {
  const uint32_t parts = kWarps / group;
  const auto value = [&](uint32_t tile, uint32_t row_of_tile) {
    int32_t dot = -x_sum;
    for (uint32_t p = 0; p < parts; ++p) dot += partial[16 * (tile * parts + p) + row_of_tile];
    const uint32_t row = (first_tile + tile) * kTileRows + row_of_tile;
    const float v = static_cast<float>(dot) * (x_scale * a.m.w_scale[row]);
    return a.m.bias != nullptr ? v + a.m.bias[row] : v;
  };
  const uint32_t i = thread_index();
  if constexpr (kEpilogue == Epilogue::kGlu) {
    const uint32_t y_at = 8 * first_tile + i;
    if (i < 8 * group && y_at < a.m.rows / 2) a.m.y[y_at] = bn::kit::glu_element(a.act, value(i / 8, i % 8), value(i / 8, i % 8 + 8));
  } else {
    const uint32_t row = kTileRows * first_tile + i;
    if (i >= kTileRows * group || row >= a.m.rows) return;
    const float v = value(i / kTileRows, i % kTileRows);
    a.m.y[row] = kEpilogue == Epilogue::kAdd ? a.m.y[row] + v : v;
  }
}

template <class Path, Epilogue kEpilogue>
BN_GLOBAL_FITTING(kThreads, 2) void fused(FusedArgs a) {
  dependents_may_start();
  const uint32_t n_row_tiles = row_tiles(a.m.rows), tiles = col_tiles(a.m.cols);
  const uint32_t group = group_of(n_row_tiles, n_blocks_x()), parts = kWarps / group;
  const uint32_t tile_of_group = warp_index() / parts, part = warp_index() % parts;
  const uint64_t row_bytes = uint64_t{tiles} * kTileBytes;
  Words4 batch[kBatch];
  uint32_t row_tile = block_x() * group + tile_of_group;
  if (row_tile < n_row_tiles) load_batch(batch, a.m.w + row_tile * row_bytes, part, parts, tiles);
  ask_ahead(a, a.m.w, group * row_bytes, parts);
  dependency_wait();

  uint8_t* shared = shared_memory<uint8_t>();
  const Places places = places_of(a.m.cols, Path::kKeptBytes);
  int8_t* codes = reinterpret_cast<int8_t*>(shared);
  int32_t* sums_of_warps = reinterpret_cast<int32_t*>(shared + places.sums);
  const VectorNumbers numbers = measure_vector(a.x, a.gain, a.m.cols, a.eps, reinterpret_cast<float*>(shared + places.scratch));
  int32_t x_sum = sum_of_warp(quantise_vector(a.x, a.gain, a.m.cols, tiles * kTileCols, numbers.largest, codes));
  if (lane_index() == 0) sums_of_warps[warp_index()] = x_sum;
  sync_block();
  Path::keep(codes, tiles, shared + places.kept);
  x_sum = 0;
  for (uint32_t i = 0; i < kWarps; ++i) x_sum += sums_of_warps[i];

  int32_t* partial = reinterpret_cast<int32_t*>(shared + places.partial);
  for (uint32_t first = block_x() * group; first < n_row_tiles; first += n_blocks_x() * group) {
    row_tile = first + tile_of_group;
    const uint32_t next_tile = row_tile + n_blocks_x() * group;
    typename Path::Sums sums;
    for (uint32_t begin = part; begin < tiles && row_tile < n_row_tiles; begin += kBatch * parts) {
      BN_UNROLL
      for (uint32_t i = 0; i < kBatch; ++i) {
        const uint32_t tile = begin + i * parts;
        if (tile < tiles) Path::add(sums, batch[i], Path::at(codes, shared + places.kept, tile));
      }
      const bool more = begin + kBatch * parts < tiles;
      if (more || next_tile < n_row_tiles) {
        load_batch(batch, a.m.w + (more ? row_tile : next_tile) * row_bytes, more ? begin + kBatch * parts : part, parts, tiles);
      }
    }
    Path::publish_first(sums, partial + 16 * warp_index());
    sync_block();  // the other half of `partial` is free: who reads it reaches this only afterwards
    finish<kEpilogue>(a, first, group, x_sum, scale_of(numbers), partial);
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

Shape fused_shape(const FusedArgs& a, DotPath path, Epilogue, uint32_t n_processors) {
  const uint32_t tiles = (a.m.rows + kTileRows - 1) / kTileRows;
  uint32_t group = group_of(tiles, n_processors + n_processors / 4);
  if (groups(tiles, group) > n_processors + n_processors / 4) group = groups(tiles, n_processors);
  const Places places = places_of(a.m.cols, path == DotPath::kBits ? BitsKept::kKeptBytes : 0);
  return {groups(tiles, group), 1, kThreads, places.end};
}

}  // namespace bn_cuda
