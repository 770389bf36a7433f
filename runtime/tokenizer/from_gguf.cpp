// tokenizer/from_gguf.cpp - reads the tokenizer.ggml.* keys of a GGUF file.
#include "tokenizer/from_gguf.h"

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {
namespace {

std::string key_name(const char* name) { return std::string("tokenizer.ggml.") + name; }

// Ids are read as signed numbers so that -1 is reported as such; beyond 2^63 the reader itself objects.
std::optional<int64_t> find_id(const gguf::File& file, const char* name) { return file.find_int(key_name(name)); }

}  // namespace

TokenizerData read_tokenizer_data(const gguf::File& file) {
  TokenizerData data;
  const auto model = file.find_string(key_name("model"));
  if (!model) fail(ErrorKind::kInvalidModel, "{}: key tokenizer.ggml.model is missing; the file has no tokenizer", file.path());
  data.model = *model;
  if (const auto pre = file.find_string(key_name("pre"))) data.pre = std::string(*pre);
  data.tokens = file.find_string_array(key_name("tokens")).value_or(std::vector<std::string_view>());
  data.scores = file.find_float_array(key_name("scores")).value_or(std::vector<float>());
  data.types = file.find_int_array(key_name("token_type")).value_or(std::vector<int64_t>());
  auto merges = file.find_string_array(key_name("merges"));
  if (!merges && (data.model == "gpt2" || data.model == "bpe")) {
    fail(ErrorKind::kInvalidModel, "{}: key tokenizer.ggml.merges is missing, which model \"{}\" needs", file.path(),
         data.model);
  }
  if (merges) data.merges = std::move(*merges);
  static_cast<TokenizerRoles&>(data) = read_roles(file);
  if (const auto add = file.find_bool(key_name("add_space_prefix"))) {
    data.space_prefix = *add ? SpacePrefix::kOpenings : SpacePrefix::kNever;
  }
  if (file.find_bool(key_name("remove_extra_whitespaces")).value_or(false)) {
    data.doubts.push_back("tokenizer.ggml.remove_extra_whitespaces is true: not done, every space of a text counts");
  }
  return data;
}

TokenizerRoles read_roles(const gguf::File& file) {
  TokenizerRoles roles;
  roles.bos = find_id(file, "bos_token_id");
  roles.eos = find_id(file, "eos_token_id");
  roles.eot = find_id(file, "eot_token_id");
  roles.eom = find_id(file, "eom_token_id");
  roles.unk = find_id(file, "unknown_token_id");
  roles.pad = find_id(file, "padding_token_id");
  roles.add_bos = file.find_bool(key_name("add_bos_token"));
  roles.add_eos = file.find_bool(key_name("add_eos_token"));
  return roles;
}

Tokenizer Tokenizer::from_gguf(const gguf::File& file, const TokenizerOptions& options) {
  const TokenizerData data = read_tokenizer_data(file);
  try {
    return from_data(data, options);
  } catch (const Error& error) {
    throw Error(error.kind(), printable(file.path(), 4096) + ": " + error.what());
  }
}

}  // namespace bitnet
