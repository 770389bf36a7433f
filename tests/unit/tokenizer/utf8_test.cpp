// unit/tokenizer/utf8_test.cpp - UTF-8 recognition over all code points, and streams that never show half a character.
#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

#include "small_vocabulary.h"
#include "tokenizer/utf8_stream.h"

namespace bitnet {
namespace {

using test::one_byte;
using test::random_text;

std::string encode(uint32_t c) {
  const auto tail = [&](int shift) { return one_byte(static_cast<int>(0x80 | (c >> shift & 0x3F))); };
  if (c < 0x80) return one_byte(static_cast<int>(c));
  if (c < 0x800) return one_byte(static_cast<int>(0xC0 | c >> 6)) + tail(0);
  if (c < 0x10000) return one_byte(static_cast<int>(0xE0 | c >> 12)) + tail(6) + tail(0);
  return one_byte(static_cast<int>(0xF0 | c >> 18)) + tail(12) + tail(6) + tail(0);
}

TEST(Utf8, EveryCodePointIsCompleteAndItsPrefixesAreTruncated) {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    const std::string bytes = encode(c);
    const Utf8Sequence found = utf8_sequence(bytes + "x");
    if (c >= 0xD800 && c <= 0xDFFF) {
      ASSERT_EQ(found.state, Utf8State::kInvalid) << c;
      continue;
    }
    ASSERT_EQ(found.state, Utf8State::kComplete) << c;
    ASSERT_EQ(found.length, bytes.size()) << c;
    for (size_t n = 1; n < bytes.size(); ++n) {
      const Utf8Sequence prefix = utf8_sequence(bytes.substr(0, n));
      ASSERT_EQ(prefix.state, Utf8State::kTruncated) << c;
      ASSERT_EQ(prefix.length, n) << c;
      ASSERT_EQ(utf8_sequence(bytes.substr(0, n) + "x").state, Utf8State::kInvalid) << c;
    }
  }
}

TEST(Utf8, InvalidSequencesAreKnownAtTheFirstWrongByte) {
  for (const char* bytes :
       {"\x80", "\xBF", "\xC0", "\xC1\x80", "\xE0\x9F", "\xED\xA0", "\xF0\x8F", "\xF4\x90", "\xF5", "\xFF"}) {
    EXPECT_EQ(utf8_sequence(bytes).state, Utf8State::kInvalid) << std::string_view(bytes).size();
    EXPECT_EQ(utf8_sequence(bytes).length, 1u);
  }
}

TEST(Utf8, TheValidPrefixEndsAtTheFirstBadByte) {
  for (size_t n = 0; n < 20; ++n) {
    const std::string good = std::string(n, 'a') + "é😀";
    EXPECT_EQ(valid_utf8_prefix(good), good.size());
    for (const char* bad : {"\xFF", "\xC3", "\xED\xA0\x80"}) EXPECT_EQ(valid_utf8_prefix(good + bad), good.size());
    EXPECT_EQ(valid_utf8_prefix(std::string(n, 'a') + "\xFFzzzzzzzzzz"), n);
  }
}

// What a stream may show of all bytes so far: everything but an unfinished sequence at the end.
size_t showable(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Sequence sequence = utf8_sequence(bytes.substr(at));
    if (sequence.state == Utf8State::kTruncated) return at;
    at += sequence.length;
  }
  return bytes.size();
}

TEST(Utf8Stream, ShowsEverythingButTheUnfinishedEnd) {
  std::mt19937 random(10);
  const std::vector<std::string> parts{"a", "é", "中", "😀", "\xF0\x9F", "\x98", "\xC3", "\xE2\x82", "\xFF", "\xED\xA0", "\xF0"};
  for (int round = 0; round < 20000; ++round) {
    const std::string all = random_text(random, parts, random() % 12);
    Utf8Stream stream;
    std::string shown;
    for (size_t at = 0; at < all.size();) {
      const size_t n = std::min<size_t>(random() % 4, all.size() - at);
      shown += stream.push(all.substr(at, n));
      at += n;
      ASSERT_EQ(shown, all.substr(0, showable(all.substr(0, at))));
    }
    shown += stream.flush();
    ASSERT_EQ(shown, all);
    ASSERT_EQ(stream.flush(), "");
  }
}

}  // namespace
}  // namespace bitnet
