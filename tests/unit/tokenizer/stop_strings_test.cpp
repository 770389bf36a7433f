// unit/tokenizer/stop_strings_test.cpp - the streaming matcher against a search over the whole text.
#include "tokenizer/stop_strings.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "small_vocabulary.h"

namespace bitnet {
namespace {

using test::random_text;

TEST(StopMatcher, CutsAtTheStopStringAcrossPieces) {
  StopMatcher matcher({"\nUser:"});
  EXPECT_EQ(matcher.feed("Hello\nUs"), "Hello");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.feed("a\nUser"), "\nUsa");
  EXPECT_EQ(matcher.feed(": more"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.stopped_by(), 0u);
  EXPECT_EQ(matcher.feed("and more"), "");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, ReleasesWhatWasHeldBackAtTheEnd) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.feed("the E"), "the ");
  EXPECT_EQ(matcher.feed(""), "");
  EXPECT_EQ(matcher.flush(), "E");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.feed("ND"), "ND");  // the flush ended that text
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, WithoutStopStringsEverythingPasses) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.feed("abc"), "abc");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, AnEmptyStopStringIsAnError) {
  try {
    StopMatcher matcher({"a", ""});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("stop string 1"), std::string::npos);
  }
}

TEST(StopMatcher, EqualsASearchOverTheWholeText) {
  std::mt19937 random(11);
  size_t stopped = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = 0, n = random() % 4; i < n; ++i) stops.push_back(random_text(random, {"a", "b"}, 1 + random() % 5));
    const std::string text = random_text(random, {"a", "b", "c"}, random() % 24);

    // The stop string that ends first; of several the longest.
    std::string expected = text;
    bool found = false;
    for (size_t end = 1; end <= text.size() && !found; ++end) {
      size_t longest = 0;
      for (const std::string& stop : stops) {
        if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0)
          longest = std::max(longest, stop.size());
      }
      if (longest > 0) found = true, expected = text.substr(0, end - longest);
    }

    StopMatcher matcher(stops);
    std::string shown;
    for (size_t at = 0; at < text.size();) {
      const size_t n = std::min<size_t>(random() % 4, text.size() - at);
      shown += matcher.feed(text.substr(at, n));
      at += n;
      if (matcher.stopped()) continue;
      // Held back is exactly the longest end that begins a stop string.
      size_t held = 0;
      for (const std::string& stop : stops) {
        for (size_t k = 1; k < stop.size() && k <= at; ++k) {
          if (text.compare(at - k, k, stop, 0, k) == 0) held = std::max(held, k);
        }
      }
      ASSERT_EQ(shown, text.substr(0, at - held));
    }
    shown += matcher.flush();
    ASSERT_EQ(shown, expected) << text;
    ASSERT_EQ(matcher.stopped(), found);
    stopped += found;
  }
  EXPECT_GT(stopped, 5000u);
}

TEST(StopMatcher, IsLinearInTheText) {
  // Every byte extends or shortens long partial matches: rescanning would take 10^11 steps.
  StopMatcher matcher({std::string(100'000, 'a') + "b"});
  std::string shown;
  const std::string text = std::string(99'999, 'a') + "c";
  for (int i = 0; i < 20; ++i) {
    for (const char c : text) shown += matcher.feed({&c, 1});
  }
  EXPECT_EQ(shown.size(), 20 * text.size());
}

}  // namespace
}  // namespace bitnet
