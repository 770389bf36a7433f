// tokenizer/merge_table.cpp - checks merge rules and applies them with a heap of candidate pairs.
#include "tokenizer/merge_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <string>
#include <unordered_set>

#include "base/error.h"
#include "tokenizer/spelling.h"

namespace bitnet {
namespace {

// Finds the tokens of one side of a merge rule, and tells tokens that cannot take part in merging from those that do not exist.
class SpellingLookup {
 public:
  SpellingLookup(const TokenizerData& data, const Vocabulary& vocabulary) : data_(data), vocabulary_(vocabulary) {}

  // The mergeable token spelled so; -1 when there is none.
  int32_t find(std::string_view spelled) {
    bytes_.clear();
    if (vocabulary_.spelling() == Spelling::kSentencePiece) {
      append_sentencepiece_spelling(spelled, bytes_);
    } else if (!append_byte_level_spelling(spelled, bytes_)) {
      return -1;
    }
    return vocabulary_.find(bytes_);
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
    fail(ErrorKind::kInvalidModel, "{}merges has {} rules", data.key_prefix, data.merges.size());
  table_.assign(std::bit_ceil(data.merges.size() * 3 / 2 + 2), MergeRule{});
  SpellingLookup lookup(data, vocabulary);
  std::string joined;
  for (size_t i = 0; i < data.merges.size(); ++i) {
    const std::string_view rule = data.merges[i];
    // A side may not be empty, so the space that parts them is never the first byte.
    const size_t space = rule.empty() ? rule.npos : rule.find(' ', 1);
    if (space == rule.npos || space + 1 == rule.size()) {
      fail(ErrorKind::kInvalidModel, "{}merges[{}] is \"{}\", expected two tokens with a space between", data.key_prefix, i,
           printable(rule));
    }
    const std::string_view left = rule.substr(0, space), right = rule.substr(space + 1);
    joined.assign(left).append(right);
    const std::array<std::string_view, 3> sides{left, right, joined};
    std::array<int32_t, 3> ids{};
    for (size_t side = 0; side < 3; ++side) {
      ids[side] = lookup.find(sides[side]);
      if (ids[side] < 0 && !lookup.is_listed(sides[side])) {
        fail(ErrorKind::kInvalidModel, "{}merges[{}] is \"{}\", but \"{}\" is no token of this vocabulary", data.key_prefix, i,
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

uint32_t MergeTable::apply(std::vector<MergeSymbol>& symbols, std::vector<uint64_t>& candidates) const {
  const auto at = [&](int32_t i) -> MergeSymbol& { return symbols[static_cast<size_t>(i)]; };
  // The rule for symbol i and the one behind it; rank UINT32_MAX when they are not to be joined.
  const auto rule_at = [&](int32_t i) -> const MergeRule& { return find(at(i).id, at(i).next < 0 ? -1 : at(at(i).next).id); };
  // Heap order: rank, then index of the left symbol.
  const auto candidate = [](const MergeRule& rule, int32_t i) { return uint64_t{rule.rank} << 32 | static_cast<uint32_t>(i); };
  candidates.clear();
  for (int32_t i = 0; static_cast<size_t>(i) + 1 < symbols.size(); ++i) {
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

  uint32_t last = UINT32_MAX;
  while (!candidates.empty()) {
    std::pop_heap(candidates.begin(), candidates.end(), later);
    const uint64_t best = candidates.back();
    candidates.pop_back();
    const auto left = static_cast<int32_t>(best & 0xFFFFFFFFu);
    const MergeRule& rule = rule_at(left);
    if (rule.rank != best >> 32) continue;  // one of the two has been joined with something else since
    last = rule.rank;
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
  return last;
}

}  // namespace bitnet
