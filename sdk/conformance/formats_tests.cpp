// conformance/formats_tests.cpp - accepts(), pack_size() and pack(): who takes which layout, and that packing is a pure
// function.
#include <thread>

#include "fingerprint.h"
#include "operation.h"
#include "sha256.h"
#include "ternary_matrix.h"

namespace bitnet::conformance {
namespace {

constexpr char kPack[] =
    "kernels.h: pack() may be called concurrently on disjoint row ranges; dst is the start of the whole buffer";

// Bytes the packed matrix takes.
uint64_t packed_bytes(Subject& s, const bn_tensor& w, bn_format* layout) {
  bn_error error = fresh_error();
  uint64_t bytes = 0;
  expect_ok(s.kernels().pack_size(s.device(), &w, &bytes, layout, &error), "pack_size", &error);
  expect(bytes > 0, "pack_size answered BN_OK and 0 bytes");
  return bytes;
}
uint64_t packed_bytes(Subject& s, const bn_tensor& w) {
  bn_format layout = {};
  layout.struct_size = sizeof layout;
  return packed_bytes(s, w, &layout);
}

void pack(Subject& s, const bn_tensor& w, Range rows, uint8_t* dst) {
  bn_error error = fresh_error();
  expect_ok(s.kernels().pack(s.device(), &w, rows.first, rows.second, dst, &error), "pack", &error);
}

void same_bytes(const GuardedBytes& expected, const GuardedBytes& found) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected.data()[i] == found.data()[i]) continue;
    fail(say("packed byte %zu of %zu: packed at once 0x%02x, in pieces 0x%02x", i, expected.size(), expected.data()[i],
             found.data()[i]));
  }
  found.expect_slack_intact();
}

void t2_of_any_shape(Subject& s) {
  for (const uint32_t cols : {1u, 2u, 7u, 100u, 127u, 128u, 320u, 5460u, 8640u, 131071u, 131072u}) {
    for (const uint32_t rows : {1u, 3u, 130u}) {
      const Where where(say("bn.t2 matrix of %u x %u", rows, cols));
      const TernaryMatrix w(Layout::kT2, rows, cols, Trits::kAllZero, 1, 1, Edge::kEnd);
      const bn_tensor shape = w.shape_only();
      const int32_t answer = s.kernels().accepts(s.device(), &shape);
      expect(answer == BN_PACK || answer == BN_NATIVE, say("accepts() answered %d", answer), rule::kAnyShape);
      expect(s.kernels().accepts(s.device(), &w.tensor) == answer, "accepts() answers otherwise once the data is there");
    }
  }
}

void unknown_layout(Subject& s) {
  const TernaryMatrix w(Layout::kT2, 4, 128, Trits::kRandom, 1, 1, Edge::kEnd);
  for (const char* id : {"bn.t2", "bn.i2s128", "i2_s"}) {
    for (const size_t byte : {size_t{0}, size_t{7}, size_t{15}}) {
      const Where where(say("a layout named '%s' whose fingerprint differs from bn.t2 in byte %zu", id, byte));
      bn_format format = format_of(Layout::kT2);
      std::strcpy(format.id, id);
      format.fingerprint[byte] ^= 1;
      bn_tensor other = w.tensor;
      other.format = &format;
      const int32_t answer = s.kernels().accepts(s.device(), &other);
      expect(answer == BN_NO, say("accepts() answered %d, not BN_NO", answer));
    }
  }
}

void not_ternary(Subject& s) {
  const TernaryMatrix w(Layout::kT2, 4, 128, Trits::kRandom, 1, 1, Edge::kEnd);
  for (const uint32_t dtype : {static_cast<uint32_t>(BN_DT_F16), 999u}) {
    const Where where(say("a tensor of dtype %u without a format", dtype));
    bn_tensor other = w.tensor;
    other.dtype = dtype;
    other.format = nullptr;
    const int32_t answer = s.kernels().accepts(s.device(), &other);
    expect(answer == BN_NO, say("accepts() answered %d, not BN_NO", answer));
  }
}

// Matrices the plugin packs, over layouts and shapes; f(matrix). Throws NotApplicable if it packs none.
template <class F>
void for_packed(Subject& s, F&& f) {
  bool any = false;
  for (const Layout layout : {Layout::kT2, Layout::kI2s128}) {
    for (const auto& [rows, cols] :
         std::vector<Range>{{1, 128}, {7, 384}, {33, 256}, {96, 640}, {130, 2560}, {19, 100}, {5, 1}}) {
      if (layout == Layout::kI2s128 && cols % 128 != 0) continue;
      const TernaryMatrix w(layout, rows, cols, Trits::kRandom, 1, rows * cols, Edge::kEnd);
      if (s.kernels().accepts(s.device(), &w.tensor) != BN_PACK) continue;
      const Where where(say("%s matrix of %u x %u", layout == Layout::kT2 ? "bn.t2" : "bn.i2s128", rows, cols));
      any = true;
      f(w);
    }
  }
  if (!any) throw NotApplicable{"the plugin reads both layouts in place and packs nothing"};
}

void pack_in_pieces(Subject& s) {
  for_packed(s, [&](const TernaryMatrix& w) {
    const uint32_t rows = w.tensor.rows;
    const uint64_t bytes = packed_bytes(s, w.tensor);
    GuardedBytes whole("packed", bytes, Edge::kEnd, 64);
    std::memset(whole.data(), 0x11, bytes);
    pack(s, w.tensor, {0, rows}, whole.data());
    whole.expect_slack_intact();
    for (const std::vector<Range>& cut : ways_to_cut(rows, s.kernels().row_granule)) {
      if (cut.front().first != 0 || cut.back().second != rows) continue;  // not the whole matrix
      const Where where(say("%zu pieces, last first", cut.size()));
      GuardedBytes pieces("packed", bytes, Edge::kStart, 64);
      std::memset(pieces.data(), 0xEE, bytes);
      for (auto piece = cut.rbegin(); piece != cut.rend(); ++piece) pack(s, w.tensor, *piece, pieces.data());
      same_bytes(whole, pieces);
    }
  });
}

void pack_threads(Subject& s) {
  for_packed(s, [&](const TernaryMatrix& w) {
    constexpr uint32_t kThreads = 8;
    const uint32_t rows = w.tensor.rows, granule = s.kernels().row_granule;
    const uint64_t bytes = packed_bytes(s, w.tensor);
    GuardedBytes whole("packed", bytes, Edge::kEnd, 64), parts("packed", bytes, Edge::kEnd, 64);
    pack(s, w.tensor, {0, rows}, whole.data());
    for (int round = 0; round < 4; ++round) {
      std::memset(parts.data(), round, bytes);
      std::vector<std::thread> threads;
      std::vector<bn_status> statuses(kThreads, BN_OK);
      for (uint32_t k = 0; k < kThreads; ++k) {
        threads.emplace_back([&, k] {
          for (uint32_t r = k * granule; r < rows && statuses[k] == BN_OK; r += kThreads * granule) {
            const uint32_t end = std::min(rows, r + granule);
            statuses[k] = s.kernels().pack(s.device(), &w.tensor, r, end, parts.data(), nullptr);
          }
        });
      }
      for (std::thread& t : threads) t.join();
      for (const bn_status status : statuses) expect_ok(status, "pack");
      same_bytes(whole, parts);
    }
  });
}

// A code 3 never reaches a plugin in use; one that meets it must stay whole: a status, and no byte outside its buffer.
void code_3(Subject& s) {
  for_packed(s, [&](const TernaryMatrix& w) {
    const std::vector<uint8_t> threes(w.tensor.bytes, 0xFF);
    const Input<uint8_t> data("w.data", threes, Edge::kEnd);
    bn_tensor bad = w.tensor;
    bad.data = data.data();
    GuardedBytes packed("packed", packed_bytes(s, bad), Edge::kEnd, 64);
    bn_error error = fresh_error();
    const bn_status status = s.kernels().pack(s.device(), &bad, 0, bad.rows, packed.data(), &error);
    expect(status == BN_OK || status == BN_E_DATA || status == BN_E_INVALID, say("pack answered %s", status_name(status)));
    expect(status == BN_OK || error.message[0] != '\0', "pack refused without a sentence");
    packed.expect_slack_intact();
  });
}

void null_error(Subject& s) {
  const TernaryMatrix w(Layout::kT2, 3, 100, Trits::kRandom, 1, 1, Edge::kEnd);
  uint64_t bytes = 0;
  bn_format layout = {};
  layout.struct_size = sizeof layout;
  const bn_status status = s.kernels().pack_size(s.device(), &w.tensor, &bytes, &layout, nullptr);
  const bool packs = s.kernels().accepts(s.device(), &w.tensor) == BN_PACK;
  expect(status == BN_OK || (!packs && status == BN_E_UNSUPPORTED), say("pack_size answered %s", status_name(status)));
}

// Tensor, format and the answer's layout in memory that ends where the struct ends, and longer ones with a tail.
void struct_sizes(Subject& s) {
  const TernaryMatrix w(Layout::kT2, 5, 100, Trits::kRandom, 1, 1, Edge::kEnd);
  const int32_t usual = s.kernels().accepts(s.device(), &w.tensor);
  for (const size_t tail : {size_t{0}, size_t{8}, size_t{64}}) {
    const Where where(tail == 0 ? "structs end at an unmapped page" : say("structs are %zu bytes longer than in 1.0", tail));
    GuardedBytes tensor_memory("bn_tensor", sizeof(bn_tensor) + tail, Edge::kEnd, 8);
    GuardedBytes format_memory("bn_format", sizeof(bn_format) + tail, Edge::kEnd, 8);
    GuardedBytes layout_memory("the bn_format of pack_size", sizeof(bn_format) + tail, Edge::kEnd, 8);
    for (const GuardedBytes* memory : {&tensor_memory, &format_memory, &layout_memory}) {
      std::memset(memory->data(), 0xA5, memory->size());
    }
    auto& tensor = *reinterpret_cast<bn_tensor*>(tensor_memory.data());
    auto& format = *reinterpret_cast<bn_format*>(format_memory.data());
    auto& layout = *reinterpret_cast<bn_format*>(layout_memory.data());
    tensor = w.tensor;
    format = *w.tensor.format;
    layout = bn_format{};
    tensor.struct_size = static_cast<uint32_t>(tensor_memory.size());
    format.struct_size = layout.struct_size = static_cast<uint32_t>(format_memory.size());
    tensor.format = &format;
    const int32_t answer = s.kernels().accepts(s.device(), &tensor);
    expect(answer == usual, say("accepts() answered %d, with structs of usual size %d", answer, usual), rule::kSizes);
    if (usual != BN_PACK) continue;
    std::vector<uint8_t> packed(packed_bytes(s, tensor, &layout));
    for (size_t i = sizeof(bn_format); i < layout_memory.size(); ++i) {
      expect(layout_memory.data()[i] == 0xA5, say("pack_size wrote byte %zu of bn_format, past what it knows", i),
             rule::kSizes);
    }
    pack(s, tensor, {0, tensor.rows}, packed.data());
  }
}

// What the plugin says about its layout is what its bytes say.
void fingerprint(Subject& s) {
  const TernaryMatrix w = canonical_matrix();
  if (s.kernels().accepts(s.device(), &w.tensor) != BN_PACK) throw NotApplicable{"the plugin reads bn.t2 in place"};
  bn_format layout = {};
  layout.struct_size = sizeof layout;
  const uint64_t bytes = packed_bytes(s, w.tensor, &layout);
  GuardedBytes first("packed", bytes, Edge::kEnd, 64), second("packed", bytes, Edge::kStart, 64);
  std::memset(first.data(), 0x00, bytes);
  std::memset(second.data(), 0xFF, bytes);
  pack(s, w.tensor, {0, w.tensor.rows}, first.data());
  pack(s, w.tensor, {0, w.tensor.rows}, second.data());
  same_bytes(first, second);
  static constexpr uint8_t kNone[16] = {};
  if (std::memcmp(layout.fingerprint, kNone, sizeof kNone) == 0) return;  // a layout of its own: the host computes it
  const auto hash = sha256(first.data(), bytes);
  expect(std::memcmp(layout.fingerprint, hash.data(), sizeof layout.fingerprint) == 0,
         say("pack_size declares fingerprint %s, the packed canonical matrix has %s", hex(layout.fingerprint, 16).c_str(),
             hex(hash.data(), 16).c_str()));
}

}  // namespace

TernaryMatrix canonical_matrix() { return TernaryMatrix(Layout::kT2, 256, 1024, Trits::kCanonical, 1, 1, Edge::kEnd); }

std::string hex(const uint8_t* bytes, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += say("%02x", bytes[i]);
  return text;
}

std::string fingerprint_text(Subject& s) {
  const TernaryMatrix w = canonical_matrix();
  const int32_t answer = s.kernels().accepts(s.device(), &w.tensor);
  if (answer == BN_NATIVE) return hex(w.tensor.format->fingerprint, 16) + "  bn.t2, read in place";
  expect(answer == BN_PACK, say("accepts() answered %d for bn.t2", answer), rule::kAnyShape);
  bn_format layout = {};
  layout.struct_size = sizeof layout;
  std::vector<uint8_t> packed(packed_bytes(s, w.tensor, &layout));
  pack(s, w.tensor, {0, w.tensor.rows}, packed.data());
  return hex(sha256(packed.data(), packed.size()).data(), 16) + "  " +
         std::string(layout.id, strnlen(layout.id, sizeof layout.id));
}

Tests formats_tests() {
  return {{"formats.t2_of_any_shape", rule::kAnyShape, t2_of_any_shape},
          {"formats.unknown_layout", rule::kFingerprint, unknown_layout},
          {"formats.not_ternary", rule::kFingerprint, not_ternary},
          {"formats.pack_in_pieces", kPack, pack_in_pieces},
          {"formats.pack_threads", kPack, pack_threads},
          {"formats.code_3", "formats.h: codes are 0, 1, 2; what meets a 3 refuses it or stays whole", code_3},
          {"formats.null_error", "plugin.h: bn_error is allocated by the caller; may be NULL", null_error},
          {"formats.struct_sizes", rule::kSizes, struct_sizes},
          {"formats.fingerprint", rule::kFingerprint, fingerprint}};
}

}  // namespace bitnet::conformance
