// tokenizer/from_file.cpp - opens a tokenizer.json, a tokenizer.model or the vocabulary of a GGUF file, whichever a path holds.
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/mapped_file.h"
#include "tokenizer/from_gguf.h"
#include "tokenizer/json_file.h"
#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/side_files.h"
#include "tokenizer/to_gguf.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {
namespace {

namespace fs = std::filesystem;

enum class Format { kGguf, kJson, kSentencePiece };

Format format_of(std::string_view bytes) {
  if (bytes.starts_with("GGUF")) return Format::kGguf;
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  const bool marked = bytes.starts_with("\xEF\xBB\xBF");
  return marked || (first != bytes.npos && bytes[first] == '{') ? Format::kJson : Format::kSentencePiece;
}

// The same model says them, only elsewhere.
void fill_roles(const TokenizerRoles& from, TokenizerData& data) {
  const auto fill = [&](std::optional<int64_t>& mine, const std::optional<int64_t>& other) {
    if (!mine && other && *other >= 0 && static_cast<uint64_t>(*other) < data.tokens.size()) mine = other;
  };
  fill(data.bos, from.bos);
  fill(data.eos, from.eos);
  fill(data.eot, from.eot);
  fill(data.eom, from.eom);
  fill(data.unk, from.unk);
  fill(data.pad, from.pad);
  if (!data.add_bos) data.add_bos = from.add_bos;
  if (!data.add_eos) data.add_eos = from.add_eos;
}

void check_size(const std::string& path, uint64_t bytes, size_t most) {
  if (bytes > most) {
    fail(ErrorKind::kInvalidModel, "{}: {} bytes, expected a tokenizer of at most {}", printable(path, 4096), bytes, most);
  }
}

// A tokenizer beside a checkpoint as data, and what the data refers to.
class FileTokenizer {
 public:
  // named: a tokenizer.json, a tokenizer.model, or the folder of one.
  FileTokenizer(const std::string& path, std::string_view bytes, Format format, const gguf::File* model) {
    std::optional<bool> add_bos_default = true;
    if (format == Format::kJson) {
      check_size(path, bytes.size(), JsonTokenizerFile::kMaxBytes);
      json_.emplace(bytes, path);
      data_ = &json_->data();
      add_bos_default = false;
    } else {
      check_size(path, bytes.size(), kMaxSentencePieceBytes);
      pieces_ = read_sentencepiece_file(bytes, path);
      data_ = &pieces_;
    }
    read_side_files(fs::path(path).parent_path().string(), *data_, strings_);
    if (model != nullptr) fill_roles(read_roles(*model), *data_);
    if (!data_->add_bos) data_->add_bos = add_bos_default;
  }

  const TokenizerData& data() const { return *data_; }

 private:
  std::optional<JsonTokenizerFile> json_;
  TokenizerData pieces_;
  TokenizerData* data_ = nullptr;
  std::deque<std::string> strings_;
};

}  // namespace

std::string find_tokenizer_beside(const std::string& path) {
  std::error_code error;
  const fs::path folder = fs::is_directory(path, error) ? fs::path(path) : fs::path(path).parent_path();
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(folder / name, error)) return (folder / name).string();
  }
  return {};
}

Tokenizer Tokenizer::of_model(const gguf::File& model, const std::optional<std::string>& named,
                              const TokenizerOptions& options) {
  if (named) return from_file(*named, options, &model);
  if (model.find("tokenizer.ggml.model") != nullptr) return from_gguf(model, options);
  const std::string beside = find_tokenizer_beside(model.path());
  if (beside.empty()) {
    fail(ErrorKind::kInvalidModel,
         "{}: the model has no tokenizer (key tokenizer.ggml.model), and neither tokenizer.json nor tokenizer.model is beside "
         "it; "
         "name one with --tokenizer FILE",
         printable(model.path(), 4096));
  }
  return from_file(beside, options, &model);
}

Tokenizer Tokenizer::from_file(const std::string& named, const TokenizerOptions& options, const gguf::File* model) {
  std::string path = named;
  std::error_code error;
  if (fs::is_directory(named, error)) {
    path = find_tokenizer_beside(named);
    if (path.empty()) {
      fail(ErrorKind::kInvalidModel, "{}: the folder has neither tokenizer.json nor tokenizer.model", printable(named, 4096));
    }
  }
  const MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (bytes.empty()) fail(ErrorKind::kInvalidModel, "{}: the file is empty, expected a tokenizer", printable(path, 4096));
  const Format format = format_of(bytes);
  if (format == Format::kGguf) return from_gguf(gguf::File(path), options);
  const FileTokenizer tokenizer(path, bytes, format, model);
  try {
    return from_data(tokenizer.data(), options);
  } catch (const Error& e) {
    throw Error(e.kind(), printable(path, 4096) + ": " + e.what());
  }
}

gguf::KeyValues tokenizer_keys(const std::string& path, const gguf::File* model) {
  const MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  const FileTokenizer tokenizer(path, bytes, format_of(bytes), model);
  try {
    return to_keys(tokenizer.data());
  } catch (const Error& error) {
    throw Error(error.kind(), printable(path, 4096) + ": " + error.what());
  }
}

}  // namespace bitnet
