// base/error_test.cpp - text from outside on one line of a terminal; SHA-256 against published vectors.
#include "base/error.h"

#include <gtest/gtest.h>

#include "base/sha256.h"

namespace bitnet {
namespace {

TEST(Printable, KeepsTextAndEscapesTheRest) {
  EXPECT_EQ(printable("plain, grün, 日本, 🚀"), "plain, grün, 日本, 🚀");
  EXPECT_EQ(printable("a\nb\tc\\d"), "a\\nb\\tc\\\\d");
  EXPECT_EQ(printable(std::string("\0\x1b[31m\x7f", 7)), "\\x00\\x1b[31m\\x7f");
  EXPECT_EQ(printable("\xff\xc0\x80"), "\\xff\\xc0\\x80");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");           // a C1 control, valid UTF-8
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");           // cut
}

TEST(Printable, CutsWhatIsLong) {
  const std::string text = printable(std::string(1000, 'x'), 20);
  EXPECT_EQ(text, std::string(20, 'x') + "...");
  EXPECT_EQ(printable(std::string(20, 'x'), 20), std::string(20, 'x'));
}

TEST(Error, CarriesTheExitCode) {
  try {
    fail(ErrorKind::kInvalidModel, "{}: {}", "file", 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 3);
    EXPECT_STREQ(error.what(), "file: 3");
  }
}

TEST(Sha256, EqualsThePublishedVectors) {  // FIPS 180-4
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const uint8_t abc[] = {'a', 'b', 'c'};
  EXPECT_EQ(sha256_hex(abc), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace bitnet
