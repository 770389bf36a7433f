// model/screened_head.cpp - makes the copy in pieces of rows, or takes it from the cache and looks whether it is right.
#include "model/screened_head.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <random>
#include <span>

#include "base/error.h"
#include "base/log.h"
#include "base/sha256.h"
#include "bitnet/kit/ops.hpp"
#include "model/row_screen.h"

namespace bitnet::model {
namespace {

constexpr uint64_t kLarge = uint64_t{64} << 20;      // bytes of a head that is worth a copy
constexpr uint64_t kPieceBytes = uint64_t{4} << 20;  // of the stored head, quantised and given back at a time
constexpr const char* kLayout = "i8-row rows, scales, coefficients, sha256";

using RowValues = std::array<float*, 2>;  // scales [rows], coefficients [rows]

uint64_t stored_row_bytes(const bn_tensor& head) { return bn::kit::dense_row_bytes(head.dtype, head.cols); }

bool is_plain(uint32_t dtype) { return dtype == BN_DT_F16 || dtype == BN_DT_BF16 || dtype == BN_DT_F32; }

// Empty, or why the head is used as it is stored.
std::string refusal(const bn_tensor& head, HeadMode mode, const backend::Ops& ops) {
  if (mode == HeadMode::kFull) return "no copy is wanted";
  if (!is_plain(head.dtype)) return "it is stored in small blocks";
  if (ops.table().numerics != BN_EXACT_1) return "the backend is not exact";
  if (head.cols > BN_K_MAX) return fmt::format("rows of {} columns, the bound is proven for {}", head.cols, BN_K_MAX);
  if (mode == HeadMode::kScreened) return {};
  if (head.bytes < kLarge) return fmt::format("it is small, {} KB", head.bytes >> 10);
  if ((ops.table().dense_dtypes >> BN_DT_I8_ROW & 1) == 0) return "the backend has no kernel for int8 rows";
  return {};
}

// One row of the copy.
RowScreen make_row(const bn_tensor& head, uint32_t r, float* row, int8_t* codes) {
  read_float_row(head.dtype, static_cast<const uint8_t*>(head.data) + r * stored_row_bytes(head), head.cols, row);
  return screen_row(row, head.cols, codes);
}

// False when a row cannot be screened.
bool make_rows(const ScreenedHead& head, int8_t* codes, RowValues values, backend::Ops& ops) {
  const bn_tensor& w = head.stored;
  const uint64_t row_bytes = stored_row_bytes(w);
  const uint32_t size = static_cast<uint32_t>(std::clamp<uint64_t>(kPieceBytes / row_bytes, 1, w.rows));
  std::atomic<bool> finite{true};
  tbb::parallel_for(0u, (w.rows + size - 1) / size, [&](uint32_t piece) {
    std::vector<float> row(row_screen_floats(w.cols));
    const uint32_t begin = piece * size, end = std::min(begin + size, w.rows);
    for (uint32_t r = begin; r < end; ++r) {
      const RowScreen screen = make_row(w, r, row.data(), codes + static_cast<uint64_t>(r) * w.cols);
      values[0][r] = screen.scale;
      values[1][r] = screen.coefficient;
      if (!std::isfinite(screen.coefficient)) finite = false;
    }
    if (head.file != nullptr) {
      head.file->release(static_cast<const uint8_t*>(w.data) + begin * row_bytes, (end - begin) * row_bytes);
    }
    ops.beat();
  });
  return finite;
}

void describe(ScreenedHead& head, const void* codes, const float* scales, const float* coefficients) {
  const uint32_t rows = head.stored.rows, cols = head.stored.cols;
  head.screen = head.stored;
  head.screen.dtype = BN_DT_I8_ROW;
  head.screen.n_scales = rows;
  head.screen.scales = scales;
  head.screen.data = codes;
  head.screen.bytes = static_cast<uint64_t>(rows) * cols;
  head.screen.flags = BN_TENSOR_PERSISTENT;
  head.coefficients = coefficients;
  head.bytes = screen_bytes(rows, cols);
  const float largest = *std::max_element(scales, scales + rows);
  head.absolute = screening_absolute(cols, largest);
  head.limit = screening_limit(cols, largest);
}

// --------------------------------------------------------------------------------------------------- on disk
std::string checksum(const bn_tensor& screen, const float* coefficients) {
  std::vector<uint8_t> bytes(8ull * screen.rows);
  std::memcpy(bytes.data(), screen.scales, bytes.size() / 2);
  std::memcpy(bytes.data() + bytes.size() / 2, coefficients, bytes.size() / 2);
  return sha256_hex(bytes);
}

std::vector<store::PieceShape> shapes(const bn_tensor& head) {
  return {{head.rows, head.cols, static_cast<uint64_t>(head.rows) * head.cols},
          {head.rows, 1, 4ull * head.rows},
          {head.rows, 1, 4ull * head.rows},
          {1, 64, 64}};
}

std::string layout() {
  const std::string_view text = kLayout;
  return sha256_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()}).substr(0, 32);
}

// Whether the first, the last and other rows at random are what would be made today.
bool rows_are_right(const ScreenedHead& head) {
  constexpr uint32_t kRowsChecked = 16;
  std::minstd_rand random(std::random_device{}());
  const bn_tensor& w = head.stored;
  std::vector<float> row(row_screen_floats(w.cols));
  std::vector<int8_t> codes(w.cols);
  for (uint32_t i = 0; i < kRowsChecked; ++i) {
    const uint32_t r = i == 0 ? 0 : i == 1 ? w.rows - 1 : static_cast<uint32_t>(random() % w.rows);
    const RowScreen made = make_row(w, r, row.data(), codes.data());
    const auto* kept = static_cast<const int8_t*>(head.screen.data) + static_cast<uint64_t>(r) * w.cols;
    if (std::memcmp(kept, codes.data(), w.cols) != 0 || made.scale != head.screen.scales[r] ||
        made.coefficient != head.coefficients[r]) {
      return false;
    }
  }
  return true;
}

bool from_cache(ScreenedHead& head, store::PrepackCache& cache) {
  head.mapped = cache.find(layout(), shapes(head.stored));
  if (head.mapped == nullptr) return false;
  const auto floats = [&](size_t piece) { return reinterpret_cast<const float*>(head.mapped->piece(piece).data()); };
  describe(head, head.mapped->piece(0).data(), floats(1), floats(2));
  const bool same_sum = std::memcmp(checksum(head.screen, head.coefficients).data(), head.mapped->piece(3).data(), 64) == 0;
  if (same_sum && rows_are_right(head)) return head.is_cached = true;
  head.mapped.reset();
  cache.discard(layout(), same_sum ? "rows of the output head differ from the model's"
                                   : "the checksum of the output head's scales is wrong");
  return false;
}

bool made(ScreenedHead& head, backend::Ops& ops, store::PrepackCache* cache) {
  const uint32_t rows = head.stored.rows;
  head.codes_memory = AlignedBuffer(static_cast<uint64_t>(rows) * head.stored.cols);
  head.row_memory = AlignedBuffer(8ull * rows);
  float* values = head.row_memory.as<float>();
  if (!make_rows(head, head.codes_memory.as<int8_t>(), {values, values + rows}, ops)) return false;
  describe(head, head.codes_memory.data(), values, values + rows);
  if (cache != nullptr) {
    const std::string sum = checksum(head.screen, head.coefficients);
    const void* const pieces[] = {head.codes_memory.data(), values, values + rows, sum.data()};
    cache->keep(layout(), shapes(head.stored), pieces);
  }
  return true;
}

// -------------------------------------------------------------------------------------------------- self-test
// Whether the backend multiplies rows of w as the reference does.
bool multiplies_rightly(const bn_tensor& w, const backend::Ops& ops) {
  std::vector<float> x(w.cols), expected(w.rows), got(w.rows);
  for (uint32_t c = 0; c < w.cols; ++c) x[c] = static_cast<float>(static_cast<int32_t>(c * 2654435761u) >> 8) * 0x1p-20f;
  AlignedBuffer scratch(std::max(ops.table().scratch_bytes, BN_K_MAX));
  bn_dense args{sizeof(bn_dense), 1, &w, x.data(), expected.data(), w.cols, w.rows};
  constexpr uint32_t kRows = 8;
  for (uint32_t i = 0; i < std::min(kRows, w.rows); ++i) {
    const uint32_t granule = ops.table().row_granule;
    const uint32_t row = static_cast<uint32_t>(static_cast<uint64_t>(i) * (w.rows - 1) / (kRows - 1)) / granule * granule;
    const uint32_t end = std::min(row + granule, w.rows);
    args.y = expected.data();
    bn::kit::dense(args, row, end);
    args.y = got.data();
    if (ops.dense_rows(args, row, end, scratch.data()) != BN_OK) return false;
    if (std::memcmp(&expected[row], &got[row], 4ull * (end - row)) != 0) return false;
  }
  return true;
}

}  // namespace

bool screen_pays_off(uint32_t dtype, uint64_t stored_bytes) { return is_plain(dtype) && stored_bytes >= kLarge; }

uint64_t screen_bytes(uint64_t rows, uint64_t cols) { return rows * cols + 8 * rows; }

std::unique_ptr<ScreenedHead> screen_head(const bn_tensor& head, const gguf::File* file, HeadMode mode, backend::Ops& ops,
                                          store::PrepackCache* cache) {
  std::string why = refusal(head, mode, ops);
  auto result = std::make_unique<ScreenedHead>();
  if (why.empty()) {
    result->file = file;
    result->stored = head;
    const bool there = (cache != nullptr && from_cache(*result, *cache)) || made(*result, ops, cache);
    if (!there) why = "it holds numbers that are not finite, or beyond 1e30";
  }
  if (why.empty() && !multiplies_rightly(result->screen, ops)) why = "the backend multiplies int8 rows wrongly";
  if (why.empty()) return result;
  log(LogLevel::kInfo, "output head: used as stored, {}", why);
  return nullptr;
}

}  // namespace bitnet::model
