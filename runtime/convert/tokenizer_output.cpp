// convert/tokenizer_output.cpp - writes, reads again, compares.
#include "convert/tokenizer_output.h"

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "tokenizer/to_files.h"
#include "tokenizer/tokenizer.h"

namespace bitnet::convert {
namespace {

namespace fs = std::filesystem;

// What belongs to a tokenizer in the folder of a checkpoint.
constexpr const char* kFiles[] = {"tokenizer.json",          "tokenizer.model",   "tokenizer_config.json",
                                  "special_tokens_map.json", "added_tokens.json", "generation_config.json",
                                  "chat_template.jinja"};

std::string copy_files(const std::string& path, const std::string& folder) {
  if (find_tokenizer_beside(path).empty()) return "there is none beside it";
  std::error_code error;
  const fs::path from = fs::is_directory(path, error) ? fs::path(path) : fs::path(path).parent_path();
  for (const char* name : kFiles) {
    if (!fs::exists(from / name, error)) continue;
    fs::copy_file(from / name, fs::path(folder) / name, error);
    if (error) fail(ErrorKind::kFailure, "{}/{}: cannot be written: {}", printable(folder), name, error.message());
  }
  return {};
}

void write(const fs::path& path, const std::string& content) {
  std::ofstream out(path, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!out.flush()) fail(ErrorKind::kFailure, "{}: cannot be written", printable(path.string()));
}

// What the written files do not give as the keys do.
std::string what_is_lost(const gguf::File& file, const std::string& folder) {
  try {
    return difference(Tokenizer::from_gguf(file), Tokenizer::from_file(folder, {}, nullptr));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInvalidModel && error.kind() != ErrorKind::kUsage) throw;
    return error.what();
  }
}

}  // namespace

std::string write_tokenizer(const Source& source, const std::string& folder) {
  if (source.file().version() == 0) return copy_files(source.path(), folder);
  if (source.file().find("tokenizer.ggml.model") == nullptr) return "it has none";
  const TokenizerFiles made = tokenizer_files(source.file());
  if (!made.reason.empty()) return made.reason;
  for (const auto& [name, content] : made.files) write(fs::path(folder) / name, content);
  const std::string lost = what_is_lost(source.file(), folder);
  if (lost.empty()) return {};
  for (const auto& [name, content] : made.files) fs::remove(fs::path(folder) / name);
  return lost;
}

}  // namespace bitnet::convert
