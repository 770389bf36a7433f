// tokenizer/compatibility.cpp - sizes, roles, and round trips of a tokenizer beside its model.
#include "tokenizer/compatibility.h"

#include <array>
#include <utility>

#include "base/error.h"

namespace bitnet {
namespace {

constexpr std::array<std::string_view, 4> kProbeTexts{"Hello, world!", "The quick brown fox jumps over the lazy dog.",
                                                      "🌟 Unicode test with emojis 🚀",
                                                      "  code:\n\tif (x != 0) return '\"';\r\n"};

class Check {
 public:
  Check(const Tokenizer& tokenizer, const gguf::File& model, bool strict)
      : tokenizer_(tokenizer), model_(model), strict_(strict) {}

  CompatibilityReport run() {
    compare_sizes();
    find_roles();
    const bool texts = try_texts(), tokens = try_tokens();  // both are told
    report_.encoding_consistency = texts && tokens;
    try_bytes();
    return std::move(report_);
  }

 private:
  void error(TokenizerFault fault, std::string message) { report_.errors.push_back({fault, std::move(message)}); }
  void note(TokenizerFault fault, std::string message) { report_.notes.push_back({fault, std::move(message)}); }
  void doubt(TokenizerFault fault, std::string message) {
    (strict_ ? report_.errors : report_.warnings).push_back({fault, std::move(message)});
  }

  void compare_sizes() {
    auto& sizes = report_.model_expectations;
    sizes.actual = tokenizer_.size();
    const gguf::TensorInfo* embeddings = model_.find_tensor("token_embd.weight");
    if (embeddings == nullptr) {
      return note(TokenizerFault::kVocabSizeMismatch,
                  "the file has no token_embd.weight; the size of the vocabulary is not compared");
    }
    sizes.expected = embeddings->rows();
    sizes.embedding_dim = embeddings->columns();
    report_.vocab_size_match = sizes.actual == *sizes.expected;
    if (sizes.actual > *sizes.expected) {
      error(TokenizerFault::kVocabSizeMismatch,
            fmt::format("the vocabulary has {} tokens, token_embd.weight only {} rows", sizes.actual, *sizes.expected));
    } else if (sizes.actual < *sizes.expected) {
      doubt(TokenizerFault::kVocabSizeMismatch,
            fmt::format("the vocabulary has {} tokens, token_embd.weight {} rows; the surplus "
                        "ids are never sampled",
                        sizes.actual, *sizes.expected));
    }
  }

  void find_roles() {
    const size_t before = report_.errors.size();
    const auto missing = [](const char* role) { return fmt::format("no token has the role {}", role); };
    const auto fault = TokenizerFault::kMissingSpecialToken;
    // A model that never sees a begin of text needs none; one that never ends by itself is of no use.
    if (!tokenizer_.bos()) note(fault, missing("begin of text (bos)"));
    if (tokenizer_.end_of_generation_ids().empty()) {
      error(fault, missing("end of text (eos) or end of turn (eot): generation would never end by itself"));
    } else if (!tokenizer_.eos()) {
      doubt(fault, missing("end of text (eos)"));
    }
    if (!tokenizer_.pad()) note(fault, missing("padding (pad)"));
    if (!tokenizer_.unk()) note(fault, missing("unknown (unk)"));
    report_.special_tokens_present = report_.errors.size() == before;
  }

  // Empty when text comes back as it was, else what went wrong.
  std::string round_trip(std::string_view text) const {
    try {
      const std::string back = tokenizer_.decode(tokenizer_.encode(text, {.add_special = false}), {.control_tokens = true});
      return back == text ? "" : fmt::format("comes back as \"{}\"", printable(back));
    } catch (const Error& e) {
      return e.what();
    }
  }

  bool try_texts() {
    bool good = true;
    for (const std::string_view text : kProbeTexts) {
      const std::string problem = round_trip(text);
      if (problem.empty()) continue;
      good = false;
      error(TokenizerFault::kEncodingInconsistent, fmt::format("the text \"{}\": {}", printable(text), problem));
    }
    return good;
  }

  bool try_tokens() {
    size_t bad = 0;
    std::string example;
    for (int32_t id = 0; static_cast<size_t>(id) < tokenizer_.size(); ++id) {
      if (tokenizer_.is_control(id)) continue;
      const std::string problem = round_trip(tokenizer_.token_bytes(id));
      if (problem.empty()) continue;
      if (bad++ == 0) example = fmt::format("{} (\"{}\"): {}", id, printable(tokenizer_.token_bytes(id)), problem);
    }
    if (bad == 0) return true;
    doubt(TokenizerFault::kEncodingInconsistent,
          fmt::format("the texts of {} tokens do not come back when encoded, for example of {}", bad, example));
    return false;
  }

  // Bytes without a token cannot survive; no text in UTF-8 may need them.
  void try_bytes() {
    size_t bad = 0;
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      if (!round_trip({&c, 1}).empty()) ++bad;
    }
    if (bad > 0) note(TokenizerFault::kEncodingInconsistent, fmt::format("{} of the 256 bytes have no token", bad));
  }

  const Tokenizer& tokenizer_;
  const gguf::File& model_;
  bool strict_;
  CompatibilityReport report_;
};

}  // namespace

std::string_view fault_name(TokenizerFault fault) {
  switch (fault) {
    case TokenizerFault::kVocabSizeMismatch:
      return "VocabSizeMismatch";
    case TokenizerFault::kMissingSpecialToken:
      return "MissingSpecialToken";
    case TokenizerFault::kEncodingInconsistent:
      return "EncodingInconsistent";
  }
  return "";
}

CompatibilityReport check_compatibility(const Tokenizer& tokenizer, const gguf::File& model, bool strict) {
  return Check(tokenizer, model, strict).run();
}

}  // namespace bitnet
