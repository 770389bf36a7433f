// tokenizer/stop_strings.h - finds stop strings in text that arrives in pieces, and holds back what may become one.
//
// The stop string that is complete first ends the text, whatever the pieces; of several complete at the same byte the
// longest counts. The text before it is kept; the stop string and everything after it are dropped.
// Cost    bytes times number of stop strings, by Knuth, Morris and Pratt, for every text and every way to cut it into pieces.
// Threads one matcher belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet {

class StopMatcher {
 public:
  // Throws Error{kUsage} when a stop string is empty. No stop strings: everything passes at once.
  explicit StopMatcher(std::vector<std::string> stops);

  // Takes more text; returns the text that is now certain to lie before any stop string. Empty once stopped.
  std::string feed(std::string_view text);

  // The text ends here: returns what was held back. Empty once stopped.
  std::string flush();

  bool stopped() const { return stopped_by_.has_value(); }

  // Index of the stop string that ended the text.
  std::optional<size_t> stopped_by() const { return stopped_by_; }

 private:
  struct Stop {
    std::string text;
    std::vector<size_t> border;  // border[i] = length of the longest proper border of text[0..i]
    size_t matched = 0;          // length of the longest prefix of text that ends at the last byte fed
  };
  static void advance(Stop& stop, char byte);

  // The first `bytes` bytes of what is held back, which always is a beginning of a stop string.
  std::string_view held(size_t bytes) const;

  std::vector<Stop> stops_;
  size_t held_stop_ = 0;   // the stop string that begins like the text held back
  size_t held_bytes_ = 0;  // and how much of it that is
  std::optional<size_t> stopped_by_;
};

}  // namespace bitnet
