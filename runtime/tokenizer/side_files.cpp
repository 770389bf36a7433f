// tokenizer/side_files.cpp - reads the configuration files beside a tokenizer.
#include "tokenizer/side_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/json_input.h"
#include "base/mapped_file.h"
#include "tokenizer/json_fields.h"

namespace bitnet {
namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = size_t{32} << 20;

class SideFiles {
 public:
  SideFiles(const std::string& folder, TokenizerData& data, std::deque<std::string>& strings)
      : folder_(folder), data_(data), strings_(strings) {}

  void read() {
    with("added_tokens.json", [&](const json& file, const std::string& path) { read_added(file, path); });
    with("tokenizer_config.json", [&](const json& file, const std::string& path) { read_config(file, path); });
    with("generation_config.json", [&](const json& file, const std::string& path) { read_generation(file, path); });
  }

 private:
  template <class Read>
  void with(const char* name, const Read& read) {
    const std::string path = (std::filesystem::path(folder_) / name).string();
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return;
    const MappedFile file(path);
    const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
    read(parse_json(text, {path, ErrorKind::kInvalidModel, 64, kMaxBytes}), path);
  }

  int64_t id_of(std::string_view text) const {
    const auto at = std::find(data_.tokens.begin(), data_.tokens.end(), text);
    return at == data_.tokens.end() ? -1 : at - data_.tokens.begin();
  }

  // A token behind the vocabulary, or one of it that gets another type.
  void add(int64_t id, std::string_view text, bool special, const std::string& where) {
    const auto count = static_cast<int64_t>(data_.tokens.size());
    if (id < 0 || id > count) {
      fail(ErrorKind::kInvalidModel, "{}: the added token \"{}\" has the id {}, expected 0 to {}, the next free one",
           printable(where, 4096), printable(text), id, count);
    }
    const auto at = static_cast<size_t>(id);
    if (id == count) {
      data_.tokens.push_back(strings_.emplace_back(text));
      data_.types.push_back(0);
      if (!data_.scores.empty()) data_.scores.push_back(0);
    } else if (data_.tokens[at] != text) {
      fail(ErrorKind::kInvalidModel, "{}: the added token \"{}\" has the id {}, which is that of \"{}\"",
           printable(where, 4096), printable(text), id, printable(data_.tokens[at]));
    }
    if (data_.types[at] == static_cast<int64_t>(TokenType::kUnknown)) return;
    data_.types[at] = static_cast<int64_t>(special ? TokenType::kControl : TokenType::kUserDefined);
  }

  // {"<pad>": 32000, ...}
  void read_added(const json& file, const std::string& path) {
    const JsonFields fields(file, path, "file");
    std::vector<std::pair<int64_t, std::string_view>> added;
    for (const auto& entry : file.items())
      added.emplace_back(fields.integer(entry.key().c_str()), strings_.emplace_back(entry.key()));
    std::sort(added.begin(), added.end());
    for (const auto& [id, text] : added) add(id, text, true, path);
  }

  void read_config(const json& file, const std::string& path) {
    const JsonFields fields(file, path, "file");
    if (const json* list = fields.find("added_tokens_decoder")) read_decoder(*list, path);
    read_role(fields, "bos_token", data_.bos, path);
    read_role(fields, "eos_token", data_.eos, path);
    read_role(fields, "pad_token", data_.pad, path);
    read_role(fields, "unk_token", data_.unk, path);
    // The template in tokenizer.json, which has said it already, is what encodes.
    if (!data_.add_bos && fields.find("add_bos_token") != nullptr) data_.add_bos = fields.flag("add_bos_token", false);
    if (!data_.add_eos && fields.find("add_eos_token") != nullptr) data_.add_eos = fields.flag("add_eos_token", false);
  }

  // {"32000": {"content": "<pad>", "special": true}, ...}
  void read_decoder(const json& list, const std::string& path) {
    if (!list.is_object()) fail(ErrorKind::kInvalidModel, "{}: added_tokens_decoder is no object", printable(path, 4096));
    std::vector<std::pair<int64_t, const json*>> added;
    for (const auto& entry : list.items()) {
      int64_t id = -1;
      const char* end = entry.key().data() + entry.key().size();
      if (const auto parsed = std::from_chars(entry.key().data(), end, id); parsed.ec != std::errc() || parsed.ptr != end)
        id = -1;
      added.emplace_back(id, &entry.value());
    }
    std::sort(added.begin(), added.end());
    for (const auto& [id, token] : added) {
      const JsonFields fields(*token, path, fmt::format("added_tokens_decoder.{}", id));
      add(id, strings_.emplace_back(fields.text("content")), fields.flag("special", false), path);
    }
  }

  // "bos_token": "<s>", or {"content": "<s>"}, or null.
  void read_role(const JsonFields& fields, const char* key, std::optional<int64_t>& role, const std::string& path) {
    const json* value = fields.find(key);
    if (value == nullptr) return;
    const std::string_view text = value->is_object() ? JsonFields(*value, path, key).text("content") : fields.text(key);
    if (const int64_t id = id_of(text); id >= 0) {
      role = id;
    } else {
      data_.doubts.push_back(fmt::format("{}: {} is \"{}\", which is no token of the vocabulary: left out",
                                         printable(path, 4096), key, printable(text)));
    }
  }

  // "eos_token_id": 2, or [128001, 128009].
  void read_generation(const json& file, const std::string& path) {
    const JsonFields fields(file, path, "file");
    const json* ends = fields.find("eos_token_id");
    if (ends == nullptr) return;
    if (!ends->is_array()) {
      data_.more_ends.push_back(fields.integer("eos_token_id"));
      return;
    }
    for (const json& end : *ends) {
      const auto id = whole_number(end);
      if (!id) fields.refuse("eos_token_id is to hold whole numbers");
      data_.more_ends.push_back(*id);
    }
  }

  const std::string& folder_;
  TokenizerData& data_;
  std::deque<std::string>& strings_;
};

}  // namespace

void read_side_files(const std::string& folder, TokenizerData& data, std::deque<std::string>& strings) {
  SideFiles(folder, data, strings).read();
}

}  // namespace bitnet
