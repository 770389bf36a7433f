// unit/engine/speculation_test.cpp - what is looked up in a text, how many guesses are worth it, and what is counted.
#include "engine/speculation.h"

#include <gtest/gtest.h>

#include <random>

namespace bitnet::engine {
namespace {

using Text = std::vector<int32_t>;

// The match that a search of the whole text finds: of the longest run of 2 to 4 tokens at its end that occurs before, the
// latest place.
PromptLookup::Match searched(const Text& text) {
  const size_t n = text.size();
  for (size_t run : {4, 3, 2}) {
    for (size_t next = n; next-- > run;) {
      if (n < run || !std::equal(text.end() - static_cast<ptrdiff_t>(run), text.end(),
                                 text.begin() + static_cast<ptrdiff_t>(next - run))) {
        continue;
      }
      uint32_t length = 0;
      while (length < PromptLookup::kLongest && length < next && text[next - 1 - length] == text[n - 1 - length]) ++length;
      return {static_cast<uint32_t>(next), length};
    }
  }
  return {};
}

TEST(PromptLookup, FindsTheLatestPlaceOfTheLongestRun) {
  PromptLookup lookup(64);
  const Text text = {7, 1, 2, 3, 9, 1, 2, 8, 5, 1, 2};
  const PromptLookup::Match two = lookup.find(text);
  EXPECT_EQ(two.next, 7u) << "behind the later of two places";
  EXPECT_EQ(two.length, 2u);
  Text longer = text;
  longer.insert(longer.end(), {3, 9, 1, 2});
  const PromptLookup::Match four = lookup.find(longer);
  EXPECT_EQ(four.next, 7u) << "5 1 2 3 9 1 2: the first place goes on like the end for longer";
  EXPECT_EQ(four.length, 6u);
}

TEST(PromptLookup, FindsNothingInATextWithoutRepetition) {
  PromptLookup lookup(64);
  Text text;
  for (int32_t i = 0; i < 50; ++i) {
    EXPECT_EQ(lookup.find(text).length, 0u) << i;
    text.push_back(i);
  }
}

TEST(PromptLookup, FindsWhatASearchFindsWhileTheTextGrowsAndShrinks) {
  std::mt19937 random(5);
  PromptLookup lookup(4096);
  Text text;
  size_t found = 0, same = 0;
  for (int step = 0; step < 6000; ++step) {
    if (random() % 200 == 0) {
      text.resize(random() % (text.size() + 1));
      lookup.forget(static_cast<uint32_t>(text.size()));
    }
    text.push_back(static_cast<int32_t>(random() % 12));
    const PromptLookup::Match got = lookup.find(text), expected = searched(text);
    if (got.length == 0) continue;  // tables forget
    ++found;
    same += got.next == expected.next && got.length == expected.length;
    ASSERT_LT(got.next, text.size());
    ASSERT_TRUE(std::equal(text.end() - got.length, text.end(), text.begin() + (got.next - got.length)));
  }
  EXPECT_GT(found, 4500u);
  EXPECT_GT(same * 100, found * 90) << "the others lost their slot to another run";
}

TEST(PromptLookup, AShorterTextIsSearchedLikeANewOne) {
  PromptLookup lookup(64);
  const Text text = {1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3};
  EXPECT_EQ(lookup.find(text).next, 9u);
  lookup.forget(6);
  EXPECT_EQ(lookup.find(std::span(text).first(6)).next, 3u);
}

TEST(PromptLookup, AContinuationGoesRoundAtTheEndOfTheText) {
  const Text text = {5, 1, 2, 3, 1, 2, 3};
  const uint32_t next = 4;
  for (uint32_t i = 0; i < 9; ++i) EXPECT_EQ(followed_by(text, next, i), static_cast<int32_t>(i % 3 + 1));
}

// A machine on which a step takes a second and every further token of a batch `slope`, unless other work disturbs it.
struct Machine {
  double slope;
  double disturbance = 0;  // how much longer a step or batch takes on average, each differently
  std::mt19937 random{11};

  double seconds(size_t guesses) {
    const double alone = 1 + slope * static_cast<double>(guesses);
    if (disturbance == 0) return alone;
    return alone * (1 + std::exponential_distribution(1 / disturbance)(random));
  }
};

// n tokens behind `text`: next(text, draft) says what comes, draft: the guesses of this step. guessed: seconds that it takes on
// the undisturbed machine; one by one n.
template <class Next>
SpeculationCounts generate(Text text, size_t n, Machine machine, Next&& next, double& guessed) {
  Speculation speculation(0, 15, 8192);
  guessed = 0;
  for (size_t end = text.size() + n; text.size() < end;) {
    const Text draft = [&] {
      const auto guesses = speculation.draft(text, static_cast<uint32_t>(end - text.size() - 1));
      return Text(guesses.begin(), guesses.end());
    }();
    const size_t before = text.size();
    for (size_t row = 0; row <= draft.size(); ++row) {
      text.push_back(next(text, row == 0 ? draft : Text{}));
      if (row < draft.size() && text.back() != draft[row]) break;
    }
    speculation.saw(std::span(text).subspan(before), machine.seconds(draft.size()));
    guessed += 1 + machine.slope * static_cast<double>(draft.size());
  }
  return speculation.counts();
}

template <class Next>
SpeculationCounts generate(Text text, size_t n, double slope, Next&& next, double& seconds) {
  const auto at = [&](const Text& so_far, const Text&) { return next(so_far.size()); };
  return generate(std::move(text), n, Machine{slope}, at, seconds);
}

Text drawn(size_t n, uint32_t vocabulary, uint32_t seed) {
  std::mt19937 random(seed);
  Text text(n);
  for (int32_t& token : text) token = static_cast<int32_t>(random() % vocabulary);
  return text;
}

// What is cheap on a machine that reads weights for a long time: with 2B-4T and two threads of a Zen 5 about this.
constexpr double kCheap = 0.3;

TEST(Speculation, ACopyOfThePromptTakesHalfTheTime) {
  const Text prompt = drawn(250, 100000, 3);
  Text start = prompt;
  start.push_back(prompt[0]);
  double seconds = 0;
  const SpeculationCounts counts = generate(
      start, 200, kCheap, [&](size_t at) { return prompt[at % 250]; }, seconds);
  EXPECT_GT(200 / seconds, 2.0);
  EXPECT_GT(counts.accepted, 140u);
  EXPECT_EQ(counts.accepted, counts.drafted);
}

// Every 16th token is not that of the prompt.
TEST(Speculation, AnEditedPromptTakesHalfTheTimeAlsoOnABusyMachine) {
  const Text prompt = drawn(600, 100000, 3);
  const auto edited = [&](const Text& text, const Text&) {
    const size_t at = text.size() % 600;
    return at % 16 == 7 ? prompt[at] + 1 : prompt[at];
  };
  for (const double disturbance : {0.0, 0.1, 0.5}) {
    double seconds = 0;
    const SpeculationCounts counts = generate(prompt, 500, Machine{0.15, disturbance}, edited, seconds);
    EXPECT_GT(500 / seconds, 2.0) << "disturbance " << disturbance;
    EXPECT_GT(counts.accepted * 100, counts.drafted * 50);
  }
}

TEST(Speculation, BehindAChangedWordTheGuessesGoOn) {
  const Text prompt = drawn(600, 100000, 3);
  const auto edited = [&](size_t at) { return at % 8 == 7 ? prompt[at % 600] + 1 : prompt[at % 600]; };
  double seconds = 0;
  const SpeculationCounts counts = generate(prompt, 480, 0.15, edited, seconds);
  EXPECT_LT(counts.steps, 480u / 8 * 5 / 2) << "not two plain steps in each eight tokens";
}

TEST(Speculation, ATextThatBreaksOffWhereverItIsGuessedLosesLittle) {
  for (const double slope : {kCheap, 1.0, 1.3}) {
    for (const double disturbance : {0.0, 0.5}) {
      const Text prompt = drawn(100, 100000, 3);
      int32_t other = 100000;
      const auto malicious = [&](const Text& text, const Text& draft) {
        return draft.empty() ? prompt[text.size() % 100] : ++other;
      };
      double seconds = 0;
      generate(prompt, 1000, Machine{slope, disturbance}, malicious, seconds);
      EXPECT_LT(seconds, 1030) << "slope " << slope << ", disturbance " << disturbance;
    }
  }
}

TEST(Speculation, QuotesThatEndSoonLoseLittle) {
  for (const size_t length : {2u, 3u, 5u, 9u, 20u, 50u}) {
    for (const double slope : {kCheap, 0.6, 1.0, 1.3}) {
      std::mt19937 random(7);
      const auto quoting = [&](size_t position) {
        return position % length == 0 ? static_cast<int32_t>(random() % 5) : static_cast<int32_t>(position % length);
      };
      double seconds = 0;
      generate({}, 1000, slope, quoting, seconds);
      EXPECT_LT(seconds, 1030) << "length " << length << ", slope " << slope;
    }
  }
}

TEST(Speculation, APassageThatComesAgainIsGuessed) {
  double seconds = 0;
  const auto circle = [](size_t position) { return static_cast<int32_t>(position * position % 53); };
  const SpeculationCounts counts = generate({}, 600, 0.2, circle, seconds);
  EXPECT_GT(counts.drafted, 400u);
  EXPECT_GT(counts.accepted * 100, counts.drafted * 90);
  EXPECT_EQ(counts.steps + counts.accepted, 600u);
  EXPECT_GT(600 / seconds, 2.0);
}

TEST(Speculation, FreeTextIsNotMuchSlower) {
  for (const uint32_t vocabulary : {3u, 8u, 40u, 1000u}) {
    for (const double slope : {0.1, 0.4, 1.0, 1.3}) {
      std::mt19937 random(vocabulary);
      double seconds = 0;
      const auto free = [&](size_t) { return static_cast<int32_t>(random() % vocabulary); };
      generate({}, 1000, slope, free, seconds);
      EXPECT_LT(seconds, 1030) << "vocabulary " << vocabulary << ", slope " << slope;
    }
  }
}

TEST(Speculation, WhereBatchesGiveNothingTheyAreLeftOut) {
  double seconds = 0;
  const auto circle = [](size_t position) { return static_cast<int32_t>(position % 7); };
  const SpeculationCounts counts = generate({}, 2000, 1.0, circle, seconds);
  EXPECT_LT(counts.batches, 400u) << "as slow as one by one, though every guess is right";
  EXPECT_LT(seconds, 2040);
}

TEST(Speculation, AtLeastAsManyGuessesAsAskedForWhereThereAreAny) {
  Speculation speculation(4, 15, 64);
  const Text text = {1, 2, 3, 9, 1, 2};
  const auto guesses = speculation.draft(text, 60);
  EXPECT_EQ(Text(guesses.begin(), guesses.end()), (Text{3, 9, 1, 2}));
  EXPECT_EQ(speculation.draft(text, 2).size(), 2u) << "there is no room for more";
  EXPECT_TRUE(speculation.draft(std::span(text).first(3), 60).empty());
}

TEST(DraftLength, NeverMoreThanAskedFor) {
  DraftLength length;
  length.saw_step(1);
  EXPECT_EQ(length.choose(32, 0), 0u);
  for (uint32_t most : {1u, 2u, 5u}) EXPECT_LE(length.choose(32, most), most);
  for (int i = 0; i < 200; ++i) length.saw_batch(64, 64, 2);
  EXPECT_LE(length.choose(32, 1000), DraftLength::kMost);
}

TEST(DraftLength, NothingBeforeAStepWasSeen) { EXPECT_EQ(DraftLength().choose(32, 15), 0u); }

}  // namespace
}  // namespace bitnet::engine
