// tokenizer/merge_table.h - merge rules by pair of tokens, and the loop that applies them: lowest rank first, leftmost on ties.
//
// Threads const functions are safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace bitnet {

// What happens to a pair of adjacent tokens.
struct MergeRule {
  int32_t left = -1;
  int32_t right = -1;
  uint32_t rank = UINT32_MAX;  // UINT32_MAX: not joined
  int32_t result = -1;
};

// A stretch of a text that is one token so far. Symbols are linked in order, so that joining two costs nothing.
struct MergeSymbol {
  int32_t id;    // token; -1: joined into the symbol before it, or a character without a token
  int32_t prev;  // index, -1 at the ends
  int32_t next;
};

class MergeTable {
 public:
  // Throws Error{kInvalidModel} naming the first rule that is no pair of tokens or whose result is no token. A rule that
  // involves a token which merging may not yield is left out, since it could never apply. Of equal pairs the first counts.
  MergeTable(const TokenizerData& data, const Vocabulary& vocabulary);

  const MergeRule& find(int32_t left, int32_t right) const;

  // Joins symbols until no rule applies; the first one stays the first. Symbols have n <= 2^31 - 1 elements. The candidates are
  // working memory, which callers keep to spare allocations. O(n log n). Returns the rank of the last rule that was applied,
  // UINT32_MAX when there was none.
  uint32_t apply(std::vector<MergeSymbol>& symbols, std::vector<uint64_t>& candidates) const;

 private:
  size_t slot_of(int32_t left, int32_t right) const;
  void insert(const MergeRule& rule);

  std::vector<MergeRule> table_;  // open addressing; a power of two long
};

}  // namespace bitnet
