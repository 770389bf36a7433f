// checkpoint/chat_template_file.cpp - looks in both places.
#include "checkpoint/chat_template_file.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/safetensors.h"

namespace bitnet::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kMaxTemplateBytes = uint64_t{1} << 20, kMaxConfigBytes = uint64_t{32} << 20;

// Null: the list has none with this name.
const json* named_default(const json& list) {
  for (const json& entry : list) {
    if (entry.is_object() && entry.value("name", json()) == "default" && entry.contains("template")) return &entry["template"];
  }
  return nullptr;
}

}  // namespace

std::optional<std::string> read_chat_template(const std::string& folder) {
  std::error_code error;
  const std::string plain = (fs::path(folder) / "chat_template.jinja").string();
  if (fs::exists(plain, error)) {
    const MappedFile file(plain);
    if (file.size() > kMaxTemplateBytes) {
      fail(ErrorKind::kInvalidModel, "{}: {} bytes, expected a template of at most {}", printable(plain), file.size(),
           kMaxTemplateBytes);
    }
    return std::string(reinterpret_cast<const char*>(file.data()), file.size());
  }
  const std::string path = (fs::path(folder) / "tokenizer_config.json").string();
  if (!fs::exists(path, error)) return std::nullopt;
  const json config = read_json(path, kMaxConfigBytes);
  const auto at = config.is_object() ? config.find("chat_template") : config.end();
  if (!config.is_object() || at == config.end() || at->is_null()) return std::nullopt;
  const json* text = at->is_array() ? named_default(*at) : &*at;
  if (text == nullptr) return std::nullopt;
  if (!text->is_string()) fail(ErrorKind::kInvalidModel, "{}: chat_template is to be a text", printable(path));
  return text->get<std::string>();
}

}  // namespace bitnet::checkpoint
