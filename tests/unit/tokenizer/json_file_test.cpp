// unit/tokenizer/json_file_test.cpp - tokenizer.json: what is read, and that what would be done differently is refused by name.
#include "small_json.h"

namespace bitnet {
namespace {

using test::json;
using test::small_character_json;
using test::small_json;
using Ids = std::vector<int32_t>;

class JsonFile : public test::TokenizerFolder {
 protected:
  Tokenizer open_json(const json& file, bool strict = false) {
    write("tokenizer.json", file);
    return open(strict);
  }
};

TEST_F(JsonFile, EncodesWithTemplateAndAddedTokens) {
  const Tokenizer tokenizer = open_json(small_json(), true);
  EXPECT_EQ(tokenizer.size(), 261u);
  EXPECT_EQ(tokenizer.pre(), "llama-bpe");
  EXPECT_FALSE(tokenizer.pre_inferred());
  EXPECT_EQ(tokenizer.encode("abcab d"), (Ids{258, 257, 256, ' ', 'd'}));
  EXPECT_EQ(tokenizer.encode("ab[X]<|end|>", {.add_special = false}), (Ids{256, 260, '<', '|', 'e', 'n', 'd', '|', '>'}));
  EXPECT_EQ(tokenizer.encode("<|end|>", {.add_special = false, .parse_special = true}), (Ids{259}));
  EXPECT_TRUE(tokenizer.warnings().empty());
}

TEST_F(JsonFile, MergesMayBePairs) {
  json file = small_json();
  file["model"]["merges"] = test::pairs_of({{"a", "b"}, {"ab", "c"}});
  EXPECT_EQ(open_json(file).encode("abc", {.add_special = false}), (Ids{257}));
}

TEST_F(JsonFile, IgnoreMergesTakesWholePieces) {
  json file = small_json();
  file["model"]["merges"] = json::array();
  EXPECT_EQ(open_json(file).encode("abc", {.add_special = false}), (Ids{'a', 'b', 'c'}));
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(open_json(file).encode("abc", {.add_special = false}), (Ids{257}));
}

TEST_F(JsonFile, WithoutATemplateNothingIsAdded) {
  json file = small_json();
  for (const json& none : {json(), test::byte_level_part(true)}) {
    file["post_processor"] = none;
    EXPECT_EQ(open_json(file).encode("ab"), (Ids{256})) << none;
  }
  file["post_processor"] = test::sequence_of(
      "processors", {test::byte_level_part(true), test::template_of({test::kText, test::special_piece("<|end|>")})});
  const Tokenizer behind = open_json(file);
  EXPECT_EQ(behind.encode("ab"), (Ids{256, 259}));
  EXPECT_EQ(behind.eos(), 259);
}

TEST_F(JsonFile, KnownSequencesHaveTheirRule) {
  const json punctuation = {{"type", "Punctuation"}, {"behavior", "Contiguous"}};
  const json digits = {{"type", "Digits"}, {"individual_digits", true}};
  std::string qwen = test::kLlama3Expression;
  qwen.erase(qwen.find("{1,3}"), 5);
  json removed = test::split_part(qwen);
  removed["behavior"] = "Removed";
  removed["invert"] = true;
  const std::pair<json, const char*> cases[] = {
      {test::byte_level_part(true), "gpt-2"},
      {test::sequence_of("pretokenizers", json::array({test::byte_level_part(true)})), "gpt-2"},
      {test::sequence_of("pretokenizers", {test::split_part(qwen), test::byte_level_part(false)}), "qwen2"},
      {test::sequence_of("pretokenizers", {removed, test::byte_level_part(false)}), "qwen2"},
      {test::sequence_of("pretokenizers", {punctuation, test::byte_level_part(true), test::split_part("[0-9][0-9][0-9]")}),
       "falcon"},
      {test::sequence_of("pretokenizers", {punctuation, test::byte_level_part(true), digits}), "falcon_e"}};
  for (const auto& [pre_tokenizer, rule] : cases) {
    json file = small_json();
    file["pre_tokenizer"] = pre_tokenizer;
    EXPECT_EQ(open_json(file).pre(), rule) << pre_tokenizer;
  }
}

TEST_F(JsonFile, NfcIsLeftOutAndSaid) {
  json file = small_json();
  file["normalizer"] = {{"type", "NFC"}};
  const Tokenizer tokenizer = open_json(file, true);  // no guess: strict accepts it
  ASSERT_EQ(tokenizer.warnings().size(), 1u);
  EXPECT_NE(tokenizer.warnings()[0].find("NFC"), std::string::npos);
}

TEST_F(JsonFile, StrippingAroundATokenIsADoubt) {
  json file = small_json();
  file["added_tokens"][0]["lstrip"] = true;
  EXPECT_EQ(open_json(file).warnings().size(), 1u);
  EXPECT_NE(refusal(true).find("lstrip"), std::string::npos) << refusal(true);
}

TEST_F(JsonFile, HolesAmongTheIdsAreNoTokens) {
  json file = small_json();
  file["added_tokens"][2]["id"] = 300;
  const Tokenizer tokenizer = open_json(file, true);
  EXPECT_EQ(tokenizer.size(), 301u);
  EXPECT_EQ(tokenizer.decode(Ids{'a', 280, 300}, {.control_tokens = true}), "a[X]");
  ASSERT_EQ(tokenizer.warnings().size(), 1u);
  EXPECT_NE(tokenizer.warnings()[0].find("40 ids"), std::string::npos) << tokenizer.warnings()[0];
}

TEST_F(JsonFile, CharactersWithByteFallback) {
  const Tokenizer tokenizer = open_json(small_character_json(), true);
  EXPECT_EQ(tokenizer.model(), "llama");
  EXPECT_EQ(tokenizer.unk(), 0);
  // By rank: "_a", then "b_", so that "_ab" is never made.
  EXPECT_EQ(tokenizer.encode("ab b"), (Ids{262, 264, 261}));
  EXPECT_EQ(tokenizer.encode("é"), (Ids{259, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(" é ab")), " é ab");
}

TEST_F(JsonFile, WhereASpaceIsPutInFront) {
  json file = small_character_json();
  file["added_tokens"].push_back({{"id", 266}, {"content", "[X]"}, {"special", false}});
  const auto ids_of = [&](const char* scheme) {
    file["pre_tokenizer"]["prepend_scheme"] = scheme;
    return open_json(file).encode("a</s>a[X]a", {.parse_special = true});
  };
  EXPECT_EQ(ids_of("always"), (Ids{262, 2, 262, 266, 262}));
  EXPECT_EQ(ids_of("first"), (Ids{262, 2, 260, 266, 260}));
  EXPECT_EQ(ids_of("never"), (Ids{260, 2, 260, 266, 260}));
  file["pre_tokenizer"].erase("prepend_scheme");
  file["pre_tokenizer"]["add_prefix_space"] = false;
  EXPECT_EQ(open_json(file).encode("a"), (Ids{260}));
}

TEST_F(JsonFile, MetaspaceThatSplitsKeepsWordsApart) {
  json file = small_character_json();
  EXPECT_EQ(open_json(file).encode("b  a"), (Ids{259, 264, 262}));
  file["pre_tokenizer"]["split"] = true;  // neither "b_" nor "__" can be made
  EXPECT_EQ(open_json(file).encode("b  a"), (Ids{259, 261, 259, 262}));
}

struct Refused {
  const char* name;
  std::function<void(json&)> spoil;
  const char* expected;
};
void PrintTo(const Refused& c, std::ostream* out) { *out << c.name; }

class RefusedJson : public test::TokenizerFolder, public testing::WithParamInterface<Refused> {};

TEST_P(RefusedJson, IsAnInvalidModel) {
  json file = small_json();
  GetParam().spoil(file);
  write("tokenizer.json", file);
  const std::string message = refusal();
  EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
  EXPECT_NE(message.find((folder_ / "tokenizer.json")), std::string::npos) << message;
}

const json kLower = {{"type", "Lowercase"}};

INSTANTIATE_TEST_SUITE_P(
    All, RefusedJson,
    testing::Values(
        Refused{"NoModel", [](json& f) { f.erase("model"); }, "\"model\" is to be an object, found nothing"},
        Refused{"NotAnObject", [](json& f) { f = json::array({1}); }, "tokenizer.json"},
        Refused{"Unigram", [](json& f) { f["model"]["type"] = "Unigram"; }, "model: type \"Unigram\" is not supported"},
        Refused{"NoType", [](json& f) { f["model"].erase("type"); }, "model: \"type\" is to be a text, found nothing"},
        Refused{"Dropout", [](json& f) { f["model"]["dropout"] = 0.1; }, "dropout is set"},
        Refused{"Prefix", [](json& f) { f["model"]["continuing_subword_prefix"] = "##"; }, "continuing_subword_prefix"},
        Refused{"NoVocabulary", [](json& f) { f["model"].erase("vocab"); }, "\"vocab\" is to be an object"},
        Refused{"NoMerges", [](json& f) { f["model"].erase("merges"); }, "\"merges\" is to be an array"},
        Refused{"IdTwice", [](json& f) { f["model"]["vocab"]["abc"] = 256; }, "which is also that of \"ab\""},
        Refused{"IdNegative", [](json& f) { f["model"]["vocab"]["abc"] = -1; }, "has the id -1, expected 0 to 1048575"},
        Refused{"IdHuge", [](json& f) { f["model"]["vocab"]["abc"] = 1ull << 63; }, "has no whole number as id"},
        Refused{"IdBeyondTheLimit", [](json& f) { f["model"]["vocab"]["abc"] = 1 << 20; }, "has the id 1048576"},
        Refused{"IdNoNumber", [](json& f) { f["model"]["vocab"]["abc"] = "7"; }, "has no whole number as id"},
        Refused{"AddedContradicts", [](json& f) { f["added_tokens"][0]["id"] = 5; }, "added_tokens[0]: the id 5 is that of"},
        Refused{"AddedEmpty", [](json& f) { f["added_tokens"][0]["content"] = ""; }, "content is empty"},
        Refused{"AddedWithoutId", [](json& f) { f["added_tokens"][1].erase("id"); },
                "added_tokens[1]: \"id\" is to be a whole"},
        Refused{"TokenTooLong", [](json& f) { f["model"]["vocab"][std::string(1025, 'a')] = 261; }, "expected at most 1024"},
        Refused{"MergeOfUnknown", [](json& f) { f["model"]["merges"] = {"a z"}; }, "model.merges[0] is \"a z\", but \"az\""},
        Refused{"MergeOfThree",
                [](json& f) {
                  f["model"]["merges"] = json::array({json::array({"a", "b", "c"})});
                },
                "merges[0] is neither"},
        Refused{"MergeWithASpace",
                [](json& f) {
                  f["model"]["merges"] = test::pairs_of({{"a", "b c"}});
                },
                "merges[0] has a space inside"},
        Refused{"UnknownIsNoToken", [](json& f) { f["model"]["unk_token"] = "<unk>"; }, "unk_token \"<unk>\" is no token"},
        Refused{"OtherExpression", [](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\w+"; },
                "the sequence \"Split \\\\w+, ByteLevel\" is not known"},
        Refused{"Whitespace",
                [](json& f) {
                  f["pre_tokenizer"]["pretokenizers"][0] = {{"type", "Whitespace"}};
                },
                "\"Whitespace, ByteLevel\" is not known"},
        Refused{"SplitMerged", [](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "MergedWithNext"; },
                "pre_tokenizer.pretokenizers[0]: behavior \"MergedWithNext\""},
        Refused{"SpaceInFront", [](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; },
                "puts a space in front"},
        Refused{"NoPreTokenizer", [](json& f) { f["pre_tokenizer"] = nullptr; }, "nothing is byte-level: not supported"},
        Refused{"LowerCase", [](json& f) { f["normalizer"] = kLower; }, "the normalizer \"Lowercase\" is not supported"},
        Refused{"LowerCaseInside",
                [](json& f) {
                  f["normalizer"] = test::sequence_of("normalizers", {{{"type", "NFC"}}, kLower});
                },
                "normalizer.normalizers[1]: the normalizer \"Lowercase\""},
        Refused{"BertProcessing",
                [](json& f) {
                  f["post_processor"] = {{"type", "BertProcessing"}};
                },
                "\"BertProcessing\""},
        Refused{"TwoInFront",
                [](json& f) {
                  f["post_processor"] =
                      test::template_of({test::special_piece("<|begin|>"), test::special_piece("<|end|>"), test::kText});
                },
                "several tokens on one side"},
        Refused{"TemplateOfUnknown",
                [](json& f) {
                  f["post_processor"] = test::template_of({test::special_piece("<s>"), test::kText});
                },
                "\"<s>\" is no token"},
        Refused{"TemplateWithoutText",
                [](json& f) { f["post_processor"] = test::template_of(json::array({test::special_piece("<|end|>")})); },
                "has no text"},
        Refused{"WordPieceDecoder",
                [](json& f) {
                  f["decoder"] = {{"type", "WordPiece"}};
                },
                "the decoder \"WordPiece\""},
        Refused{"ByteFallbackAndByteLevel", [](json& f) { f["model"]["byte_fallback"] = true; }, "byte_fallback is true"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST_F(JsonFile, CharactersWithoutBytesWouldLoseText) {
  json file = small_character_json();
  file["model"]["byte_fallback"] = false;
  write("tokenizer.json", file);
  EXPECT_NE(refusal().find("byte_fallback is false"), std::string::npos) << refusal();
}

TEST_F(JsonFile, BrokenJsonIsRefusedInOneLine) {
  const std::string whole = small_json().dump();
  for (const std::string& text : {whole.substr(0, whole.size() / 2), std::string("{"), std::string("{\"model\": NaN}"),
                                  std::string("{\"a\": 1, \"a\": 2}"), "{\"a\":" + std::string(100000, '[')}) {
    write("tokenizer.json", text);
    EXPECT_NE(refusal().find("tokenizer.json"), std::string::npos) << refusal();
  }
}

}  // namespace
}  // namespace bitnet
