// tokenizer/pre_tokenizer_rules.cpp - the table of pre-tokenizers: how each named scheme cuts a text before merging.
//
// A pattern here is that of the model's tokenizer.json, with two changes: white space is spelled out, since PCRE2's \s also
// holds U+180E, and \s+$ is guarded against rescanning a run from each of its characters.
#include <array>

#include "tokenizer/pre_tokenizer.h"

// Unicode White_Space, for use inside a class.
#define WS R"(\t-\r\x{85}\p{Z})"
#define LLAMA_3_WORDS R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+)"
#define LLAMA_3_REST "| ?[^" WS R"(\p{L}\p{N}]+[\r\n]*|[)" WS R"(]*[\r\n]+|[)" WS "]+(?![^" WS "])|[" WS "]+"
#define GPT_2_SPLIT R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^)" WS R"(\p{L}\p{N}]+|[)" WS "]+(?![^" WS "])|[" WS "]+"
#define FALCON_PUNCTUATION R"([\p{P}$+<=>^~|`]+)"

// The letters of deepseek-llm: cased ones of most scripts, without Armenian small letters, Georgian and mathematical alphabets.
#define DEEPSEEK_LETTERS                                                                                              \
  R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF})"              \
  R"(\x{370}-\x{373}\x{376}-\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1})"               \
  R"(\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"                 \
  R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A})"         \
  R"(\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D})"  \
  R"(\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3})" \
  R"(\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115})"  \
  R"(\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"           \
  R"(\x{2145}-\x{2149}\x{214E}\x{2183}-\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}-\x{2CF3})" \
  R"(\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF})"         \
  R"(\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"     \
  R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"

namespace bitnet {
namespace {

constexpr std::array<PreTokenizerRule, 7> kRules{{
    {.names = {"llama-bpe", "llama3", "llama-v3"},
     .patterns = {LLAMA_3_WORDS R"(|\p{N}{1,3})" LLAMA_3_REST},
     .whole_piece_first = true,
     .add_bos = true},
    // Falcon3's own splits are not settled: its GGUF files were made for the Llama-3 split, later programs use falcon_e's.
    {.names = {"falcon3"}, .patterns = {LLAMA_3_WORDS R"(|\p{N}{1,3})" LLAMA_3_REST}, .whole_piece_first = true},
    {.names = {"qwen2"}, .patterns = {LLAMA_3_WORDS R"(|\p{N})" LLAMA_3_REST}},
    {.names = {"gpt-2"}, .patterns = {GPT_2_SPLIT}},
    {.names = {"falcon"}, .patterns = {FALCON_PUNCTUATION, GPT_2_SPLIT, "[0-9][0-9][0-9]"}},
    {.names = {"falcon_e"}, .patterns = {FALCON_PUNCTUATION, GPT_2_SPLIT, "[0-9]"}},
    {.names = {"deepseek-llm"},
     .patterns = {R"([\r\n])", "[" WS "]?[" DEEPSEEK_LETTERS "]+",
                  "[" WS R"(]?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
                  "(?<![" WS "])[" WS R"(]+\z)", R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", R"(\p{N}+)"}},
}};

}  // namespace

const PreTokenizerRule* find_pre_tokenizer_rule(std::string_view name) {
  for (const PreTokenizerRule& rule : kRules) {
    for (const char* known : rule.names) {
      if (known != nullptr && name == known) return &rule;
    }
  }
  return nullptr;
}

std::string known_pre_tokenizers() {
  std::string list;
  for (const PreTokenizerRule& rule : kRules) {
    for (const char* known : rule.names) {
      if (known != nullptr) list += list.empty() ? known : std::string(", ") + known;
    }
  }
  return list;
}

}  // namespace bitnet
