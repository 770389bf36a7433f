// tokenizer/byte_level_bpe.cpp - merging with a linked list of symbols and a heap of candidate pairs.
#include "tokenizer/byte_level_bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "tokenizer/spelling.h"
#include "tokenizer/utf8.h"

namespace bitnet {
namespace {

// Finds the tokens of one side of a merge rule, and tells tokens that cannot take part in merging from those that do not exist.
class SpellingLookup {
 public:
  SpellingLookup(const TokenizerData& data, const Vocabulary& vocabulary) : data_(data), vocabulary_(vocabulary) {}

  // The mergeable token spelled so; -1 when there is none.
  int32_t find(std::string_view spelled) {
    bytes_.clear();
    return append_byte_level_spelling(spelled, bytes_) ? vocabulary_.find(bytes_) : -1;
  }

  // Is there a token spelled so at all?
  bool is_listed(std::string_view spelled) {
    if (listed_.empty()) listed_.insert(data_.tokens.begin(), data_.tokens.end());
    return listed_.contains(spelled);
  }

 private:
  const TokenizerData& data_;
  const Vocabulary& vocabulary_;
  std::string bytes_;
  std::unordered_set<std::string_view> listed_;  // filled on first use: sound files never need it
};

}  // namespace

MergeTable::MergeTable(const TokenizerData& data, const Vocabulary& vocabulary) {
  if (data.merges.size() >= UINT32_MAX)
    fail(ErrorKind::kInvalidModel, "tokenizer.ggml.merges has {} rules", data.merges.size());
  table_.assign(std::bit_ceil(data.merges.size() * 3 / 2 + 2), MergeRule{});
  SpellingLookup lookup(data, vocabulary);
  std::string joined;
  for (size_t i = 0; i < data.merges.size(); ++i) {
    const std::string_view rule = data.merges[i];
    // A side may not be empty, so the space that parts them is never the first byte.
    const size_t space = rule.empty() ? rule.npos : rule.find(' ', 1);
    if (space == rule.npos || space + 1 == rule.size()) {
      fail(ErrorKind::kInvalidModel, "tokenizer.ggml.merges[{}] is \"{}\", expected two tokens with a space between", i,
           printable(rule));
    }
    const std::string_view left = rule.substr(0, space), right = rule.substr(space + 1);
    joined.assign(left).append(right);
    const std::array<std::string_view, 3> sides{left, right, joined};
    std::array<int32_t, 3> ids{};
    for (size_t side = 0; side < 3; ++side) {
      ids[side] = lookup.find(sides[side]);
      if (ids[side] < 0 && !lookup.is_listed(sides[side])) {
        fail(ErrorKind::kInvalidModel, "tokenizer.ggml.merges[{}] is \"{}\", but \"{}\" is no token of this vocabulary", i,
             printable(rule), printable(sides[side]));
      }
    }
    if (std::min({ids[0], ids[1], ids[2]}) >= 0) insert({ids[0], ids[1], static_cast<uint32_t>(i), ids[2]});
  }
}

size_t MergeTable::slot_of(int32_t left, int32_t right) const {
  const uint64_t pair = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  const size_t mask = table_.size() - 1;
  // Multiplication by 2^64 / golden ratio spreads the pair over the upper bits.
  size_t slot = static_cast<size_t>((pair ^ pair >> 29) * 0x9E3779B97F4A7C15u >> 32) & mask;
  while (table_[slot].rank != UINT32_MAX && (table_[slot].left != left || table_[slot].right != right))
    slot = (slot + 1) & mask;
  return slot;
}

const MergeRule& MergeTable::find(int32_t left, int32_t right) const { return table_[slot_of(left, right)]; }

void MergeTable::insert(const MergeRule& rule) {
  MergeRule& slot = table_[slot_of(rule.left, rule.right)];
  if (slot.rank == UINT32_MAX) slot = rule;
}

// Memory that the pieces of one text share.
struct ByteLevelBpe::Workspace {
  struct Symbol {
    int32_t id;    // token; -1: joined into the symbol before it, or a byte without a token
    int32_t prev;  // index, -1 at the ends
    int32_t next;
  };
  std::vector<Symbol> symbols;       // one per byte of the piece, linked in order
  std::vector<uint64_t> candidates;  // heap, smallest first: rank << 32 | index of the left symbol
};

ByteLevelBpe::ByteLevelBpe(const TokenizerData& data, const Vocabulary& vocabulary, const PreTokenizerRule& rule)
    : vocabulary_(vocabulary), merges_(data, vocabulary), pre_tokenizer_(rule), whole_piece_first_(rule.whole_piece_first) {}

void ByteLevelBpe::encode(std::string_view text, TextPosition, size_t max_tokens, std::vector<int32_t>& out) const {
  Workspace work;
  const auto take = [&](std::string_view piece) {
    encode_piece(piece, work, out);
    return out.size() < max_tokens;
  };
  while (!text.empty() && out.size() < max_tokens) {
    const std::string_view valid = text.substr(0, valid_utf8_prefix(text));
    if (!pre_tokenizer_.split(valid, take)) return;
    text.remove_prefix(valid.size());
    if (text.empty()) return;
    out.push_back(vocabulary_.byte_token_or_unknown(static_cast<uint8_t>(text[0])));
    text.remove_prefix(1);
  }
}

void ByteLevelBpe::encode_piece(std::string_view piece, Workspace& work, std::vector<int32_t>& out) const {
  if (whole_piece_first_) {
    if (const int32_t id = vocabulary_.find(piece); id >= 0) {
      out.push_back(id);
      return;
    }
  }
  merge(piece, work);
  for (int32_t i = 0; i >= 0; i = work.symbols[static_cast<size_t>(i)].next) {
    const int32_t id = work.symbols[static_cast<size_t>(i)].id;
    // A symbol without a token has never been joined: it is a single byte.
    out.push_back(id >= 0 ? id : vocabulary_.byte_token_or_unknown(static_cast<uint8_t>(piece[static_cast<size_t>(i)])));
  }
}

void ByteLevelBpe::merge(std::string_view piece, Workspace& work) const {
  if (piece.size() > static_cast<size_t>(INT32_MAX)) {
    fail(ErrorKind::kUsage, "the text has a word of {} bytes, expected less than 2 GiB", piece.size());
  }
  auto& symbols = work.symbols;
  auto& candidates = work.candidates;
  const auto at = [&](int32_t i) -> Workspace::Symbol& { return symbols[static_cast<size_t>(i)]; };
  // The candidate of symbol i and the one behind it; rank UINT32_MAX when they are not to be joined.
  const auto rule_at = [&](int32_t i) -> const MergeRule& {
    return merges_.find(at(i).id, at(i).next < 0 ? -1 : at(at(i).next).id);
  };
  const auto candidate = [](const MergeRule& rule, int32_t i) { return uint64_t{rule.rank} << 32 | static_cast<uint32_t>(i); };

  const auto n = static_cast<int32_t>(piece.size());
  symbols.resize(piece.size());
  for (int32_t i = 0; i < n; ++i) {
    at(i) = {vocabulary_.byte_token(static_cast<uint8_t>(piece[static_cast<size_t>(i)])), i - 1, i + 1 < n ? i + 1 : -1};
  }
  candidates.clear();
  for (int32_t i = 0; i + 1 < n; ++i) {
    if (const MergeRule& rule = rule_at(i); rule.rank != UINT32_MAX) candidates.push_back(candidate(rule, i));
  }
  const auto later = std::greater<uint64_t>();
  std::make_heap(candidates.begin(), candidates.end(), later);
  const auto add = [&](int32_t i) {
    if (const MergeRule& rule = rule_at(i); rule.rank != UINT32_MAX) {
      candidates.push_back(candidate(rule, i));
      std::push_heap(candidates.begin(), candidates.end(), later);
    }
  };

  while (!candidates.empty()) {
    std::pop_heap(candidates.begin(), candidates.end(), later);
    const uint64_t best = candidates.back();
    candidates.pop_back();
    const auto left = static_cast<int32_t>(best & 0xFFFFFFFFu);
    const MergeRule& rule = rule_at(left);
    if (rule.rank != best >> 32) continue;  // one of the two has been joined with something else since
    const int32_t right = at(left).next;
    at(left).id = rule.result;
    at(left).next = at(right).next;
    at(right).id = -1;
    if (at(left).next >= 0) {
      at(at(left).next).prev = left;
      add(left);
    }
    if (at(left).prev >= 0) add(at(left).prev);
  }
}

}  // namespace bitnet
