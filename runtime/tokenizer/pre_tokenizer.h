// tokenizer/pre_tokenizer.h - cuts text into the pieces inside which byte-level BPE merges.
//
// A rule is a list of passes: the first pattern cuts the text into its matches and what lies between them, the second cuts
// each of those, and so on. The concatenation of all pieces is the text.
// Cost    linear in the text for every rule of the table; constant stack. Pieces are handed out as they are found.
// Errors  Error{kFailure} when PCRE2 gives up (out of memory); no match, depth or heap limit is set.
// Threads const functions are safe from any thread.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet {

// One row of the table in pre_tokenizer_rules.cpp.
struct PreTokenizerRule {
  std::array<const char*, 3> names{};     // values of tokenizer.ggml.pre; the first is the one reported
  std::array<const char*, 6> patterns{};  // PCRE2 with UTF and UCP, one pass each; none matches the empty text
  bool whole_piece_first = false;         // a piece that is a token is emitted at once ("ignore_merges")
  bool add_bos = false;                   // when the file has no add_bos_token
};

// Null when the name is unknown.
const PreTokenizerRule* find_pre_tokenizer_rule(std::string_view name);

// All known names, separated by commas, for messages.
std::string known_pre_tokenizers();

class PreTokenizer {
 public:
  // Use kNever to run the same patterns in PCRE2's interpreter, as happens where the system refuses executable memory.
  enum class Jit { kIfPossible, kNever };
  explicit PreTokenizer(const PreTokenizerRule& rule, Jit jit = Jit::kIfPossible);
  ~PreTokenizer();
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;

  // Takes a piece (never empty); returns false to end the cutting.
  using PieceSink = std::function<bool(std::string_view)>;

  // Hands all pieces of text to sink, in order. Text must be valid UTF-8: PCRE2 does not check. False when sink ended it.
  bool split(std::string_view text, const PieceSink& sink) const;

 private:
  struct Pass;   // a compiled pattern
  struct Match;  // PCRE2's working memory of one split
  bool run_pass(size_t pass, std::string_view text, Match& match, const PieceSink& sink) const;

  std::vector<Pass> passes_;
};

}  // namespace bitnet
