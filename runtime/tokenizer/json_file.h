// tokenizer/json_file.h - reads tokenizer.json, the format of Hugging Face's tokenizers library.
//
// Models  BPE, byte-level (Llama 3, Qwen2, GPT-2, Falcon) or over characters with byte fallback (Llama 2, Gemma).
// P5      A part that this program would not do the same way is refused by name; it is never left out in silence.
// Errors  Error{kInvalidModel} beginning with the label, naming the field.
// Threads separate objects are independent.
#pragma once

#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tokenizer/vocabulary.h"

namespace bitnet {

class JsonTokenizerFile {
 public:
  static constexpr size_t kMaxBytes = size_t{256} << 20;

  JsonTokenizerFile(std::string_view text, const std::string& label);
  JsonTokenizerFile(const JsonTokenizerFile&) = delete;
  JsonTokenizerFile& operator=(const JsonTokenizerFile&) = delete;

  // Views into this object.
  TokenizerData& data() { return data_; }

 private:
  void read_model();
  void read_vocabulary(const nlohmann::json& model);
  void read_added_tokens();
  void read_merges(const nlohmann::json& model);
  void place(int64_t id, std::string_view text, int64_t type, const std::string& where);
  void fill_holes();
  void read_splitting();
  void read_template();
  void read_unknown(const nlohmann::json& model);

  std::string label_;
  nlohmann::json document_;
  std::deque<std::string> strings_;  // those that the document does not hold in one piece; a deque never moves its elements
  TokenizerData data_;
};

}  // namespace bitnet
