// unit/tokenizer/sentencepiece_file_test.cpp - tokenizer.model: what is refused, roles, and every cut and flip of a whole file.
#include "tokenizer/sentencepiece_file.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/files.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {
namespace {

const std::string kFolder = std::string(BITNET_TEST_DATA) + "/tokenizers/sentencepiece/";

std::string refusal(const std::string& bytes) {
  try {
    Tokenizer::from_data(read_sentencepiece_file(bytes, "x.model"));
    return "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidModel) << error.what();
    return error.what();
  }
}

TEST(SentencePieceFile, RolesAndTypes) {
  const Tokenizer gemma = Tokenizer::from_file(kFolder + "gemma.model", {.strict = true});
  EXPECT_EQ(gemma.size(), 900u);
  EXPECT_EQ(gemma.pad(), 0);
  EXPECT_EQ(gemma.eos(), 1);
  EXPECT_EQ(gemma.bos(), 2);
  EXPECT_EQ(gemma.unk(), 3);
  EXPECT_EQ(gemma.encode("")[0], 2);
  EXPECT_TRUE(gemma.find_special("<start_of_turn>").has_value());
  const Tokenizer llama = Tokenizer::from_file(kFolder + "llama.model", {.strict = true});
  EXPECT_EQ(llama.bos(), 1);
  EXPECT_EQ(llama.eos(), 2);
  EXPECT_EQ(llama.unk(), 0);
  EXPECT_EQ(llama.pad(), std::nullopt);
}

TEST(SentencePieceFile, OtherKindsAreRefused) {
  EXPECT_NE(refusal(test::read_text(kFolder + "unigram.model")).find("unigram"), std::string::npos);
  EXPECT_NE(refusal(test::read_text(kFolder + "changing.model")).find("removing spaces"), std::string::npos);
  // One more trainer_spec: model_type (3) is 2, treat_whitespace_as_suffix (24) is 1.
  const std::string behind("\x12\x05\x18\x02\xC0\x01\x01", 7);
  EXPECT_NE(refusal(test::read_text(kFolder + "llama.model") + behind).find("spaces are put behind words"), std::string::npos);
  EXPECT_NE(refusal("IQ== 0\nIg== 1\n").find("tokenizer.json"), std::string::npos);
  EXPECT_NE(refusal("hello").find("not a readable SentencePiece model: at byte"), std::string::npos) << refusal("hello");
  EXPECT_NE(refusal(std::string("\x0A\x7F", 2)).find("127 bytes are announced, 0 are left"), std::string::npos);
  EXPECT_NE(refusal(std::string("\x0A\x02\x0A\x00", 4)).find("trainer_spec is missing"), std::string::npos);
  EXPECT_NE(refusal(std::string(12, '\xFF')).find("at byte"), std::string::npos);
}

// Whatever happens to a file, it is read or refused; a sanitizer build sees what is read beyond the end.
TEST(SentencePieceFile, CutsAndFlips) {
  const std::string whole = test::read_text(kFolder + "llama.model");
  size_t refused = 0;
  for (size_t cut = 0; cut < whole.size(); cut += 7) refused += refusal(whole.substr(0, cut)) != "was accepted";
  EXPECT_EQ(refused, (whole.size() + 6) / 7);
  for (size_t at = 0; at < whole.size(); at += 97) {
    for (const int flip : {0x01, 0x80, 0x7F}) {
      std::string spoiled = whole;
      spoiled[at] = static_cast<char>(spoiled[at] ^ flip);
      try {
        Tokenizer::from_data(read_sentencepiece_file(spoiled, "x.model")).encode("any text \xFF");
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace bitnet
