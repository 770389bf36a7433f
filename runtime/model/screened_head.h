// model/screened_head.h - a compact int8 copy of the output head, from which the few best rows can be told apart.
//
// A step that wants only the k best logits reads this copy, half the bytes of a f16 head, and then only those rows of the
// stored head whose logit may be among the best (best_rows.h). The bound that this rests on is in row_screen.h.
//
// Made at load, in parallel, or mapped from the prepack cache; then sixteen rows are made again and compared, and scales and
// coefficients are compared with their checksum. Eight rows are multiplied by the backend and compared with the SDK's
// reference, bit for bit.
// Memory  one byte per weight and eight per row, owned or mapped here. While it is made, the pages of the stored head that have
//         been read are given back. head, file and ops must outlive the object.
// Errors  Error{kNoMemory}. Whatever else stands against a copy is one line at --verbose and a null pointer: the full head is
// used. Threads making: one at a time; const functions: any.
#pragma once

#include <memory>

#include "backend/ops.h"
#include "base/aligned_buffer.h"
#include "gguf/reader.h"
#include "store/prepack_cache.h"

namespace bitnet::model {

// Auto: screened when the head is stored as F16, BF16 or F32, takes at least 64 MiB, and the backend knows BN_DT_I8_ROW.
// Screened: also a small one, and with the portable op. Backends that are not exact-1 always use the full head.
enum class HeadMode : uint32_t { kAuto, kFull, kScreened };

struct ScreenedHead {
  const gguf::File* file = nullptr;     // where the stored head lies; null: in memory of the caller
  bn_tensor stored{};                   // [n_vocab, n_embd]
  bn_tensor screen{};                   // the same in BN_DT_I8_ROW
  const float* coefficients = nullptr;  // [n_vocab], of the bound
  float absolute = 0;                   // of the bound
  double limit = 0;                     // largest |x| for which the bound is proven
  uint64_t bytes = 0;                   // of codes, scales and coefficients
  bool is_cached = false;               // mapped from the prepack cache
  AlignedBuffer codes_memory, row_memory;
  std::unique_ptr<store::PrepackFile> mapped;
};

// cache: of this model, for kScreenedHeadMaker; null for none.
std::unique_ptr<ScreenedHead> screen_head(const bn_tensor& head, const gguf::File* file, HeadMode mode, backend::Ops& ops,
                                          store::PrepackCache* cache);

// Whether HeadMode::kAuto makes a copy of a head of this type (BN_DT_*) and size, where the backend can use one; its size in
// bytes.
bool screen_pays_off(uint32_t dtype, uint64_t stored_bytes);
uint64_t screen_bytes(uint64_t rows, uint64_t cols);

// What stands for the plugin in the cache's keys: the copy is the same for all of them. The version changes with
// row_screen.cpp.
inline constexpr const char* kScreenedHeadMaker = "org.bitnet-run.screened-head";
inline constexpr const char* kScreenedHeadVersion = "1";

}  // namespace bitnet::model
