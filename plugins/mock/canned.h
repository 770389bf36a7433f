// mock/canned.h - what the canned engine says next: a pure function of the tokens so far, so that replaying a token list in
// a new session continues as the old session would have.
#pragma once

#include <cstdint>
#include <vector>

namespace bn_mock {

// Length of the longest proper prefix of `word` that is also its suffix (Knuth, Morris, Pratt 1977).
inline size_t longest_border(const std::vector<int32_t>& word) {
  std::vector<size_t> border(word.size(), 0);
  for (size_t i = 1; i < word.size(); ++i) {
    size_t k = border[i - 1];
    while (k > 0 && word[k] != word[i]) k = border[k - 1];
    border[i] = word[k] == word[i] ? k + 1 : 0;
  }
  return word.empty() ? 0 : border.back();
}

// The token after `said` (not empty).
//   Without `canned`: `said` goes on with its smallest period; a prompt without repetition is echoed again and again.
//   With `canned`: the list from its start, repeated. How much of it has been said is the longest end of `said` that is a
//   beginning of the repeated list.
inline int32_t next_token(const std::vector<int32_t>& said, const std::vector<int32_t>& canned) {
  if (canned.empty()) return said[longest_border(said)];
  std::vector<int32_t> word;
  for (size_t i = 0; i < said.size(); ++i) word.push_back(canned[i % canned.size()]);
  word.push_back(-1);  // no token
  word.insert(word.end(), said.begin(), said.end());
  return canned[longest_border(word) % canned.size()];
}

}  // namespace bn_mock
