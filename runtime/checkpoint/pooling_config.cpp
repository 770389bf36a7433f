// checkpoint/pooling_config.cpp - finds the Pooling module and reads its flags.
#include "checkpoint/pooling_config.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "checkpoint/safetensors.h"

namespace bitnet::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kMaxBytes = uint64_t{1} << 20;

struct Mode {
  const char* flag;
  uint32_t pooling;  // 0: known by name only
};
constexpr Mode kModes[] = {{"pooling_mode_cls_token", kPoolingFirst},
                           {"pooling_mode_mean_tokens", kPoolingMean},
                           {"pooling_mode_max_tokens", 0},
                           {"pooling_mode_mean_sqrt_len_tokens", 0},
                           {"pooling_mode_weightedmean_tokens", 0},
                           {"pooling_mode_lasttoken", kPoolingLast}};

// A module's "type" is the path of a class; what counts is its name.
std::string class_of(const json& module, const std::string& path) {
  const auto type = module.is_object() ? module.find("type") : module.end();
  if (!module.is_object() || type == module.end() || !type->is_string()) {
    fail(ErrorKind::kInvalidModel, "{}: a module without a type", printable(path));
  }
  const std::string& name = type->get_ref<const std::string&>();
  return name.substr(name.rfind('.') + 1);
}

// The folder of the Pooling module; empty when modules.json has none.
std::string pooling_folder(const std::string& path) {
  const json modules = read_json(path, kMaxBytes);
  if (!modules.is_array()) fail(ErrorKind::kInvalidModel, "{}: expected a list of modules", printable(path));
  std::string folder;
  for (const json& module : modules) {
    const std::string name = class_of(module, path);
    if (name == "Transformer" || name == "Normalize") continue;
    if (name != "Pooling") {
      fail(ErrorKind::kInvalidModel, "{}: the module {} is not supported, expected Transformer, Pooling and Normalize",
           printable(path), printable(name));
    }
    const auto at = module.find("path");
    if (at != module.end() && at->is_string()) folder = at->get<std::string>();
    if (folder.empty() || folder.find('/') != folder.npos || folder.find('\0') != folder.npos || folder == "..") {
      fail(ErrorKind::kInvalidModel, "{}: the path of the module Pooling is to be a folder beside it", printable(path));
    }
  }
  return folder;
}

uint32_t pooling_of(const std::string& path) {
  const json flags = read_json(path, kMaxBytes);
  if (!flags.is_object()) fail(ErrorKind::kInvalidModel, "{}: no JSON object", printable(path));
  std::optional<uint32_t> found;
  for (const auto& [name, value] : flags.items()) {
    if (!name.starts_with("pooling_mode_") || value != true) continue;
    const auto is_meant = [&flag = name](const Mode& m) { return flag == m.flag; };  // clang 14 captures no structured binding
    const auto mode = std::find_if(std::begin(kModes), std::end(kModes), is_meant);
    if (mode == std::end(kModes) || mode->pooling == 0) {
      fail(ErrorKind::kInvalidModel, "{}: {} is not supported", printable(path), printable(name));
    }
    if (found) fail(ErrorKind::kInvalidModel, "{}: several ways of pooling at once are not supported", printable(path));
    found = mode->pooling;
  }
  if (!found) fail(ErrorKind::kInvalidModel, "{}: no pooling_mode_ is true", printable(path));
  return *found;
}

bool is_bare_model(const json& config) {
  const auto list = config.find("architectures");
  if (list == config.end() || !list->is_array() || list->empty()) return false;
  return std::none_of(list->begin(), list->end(), [](const json& name) {
    return !name.is_string() || name.get_ref<const std::string&>().find("For") != std::string::npos;
  });
}

}  // namespace

std::optional<uint32_t> read_pooling(const std::string& config_path, const json& config) {
  const fs::path folder = fs::path(config_path).parent_path();
  std::error_code error;
  const std::string modules = (folder / "modules.json").string();
  if (fs::exists(modules, error)) {
    const std::string pooling = pooling_folder(modules);
    if (!pooling.empty()) return pooling_of((folder / pooling / "config.json").string());
    return kPoolingLast;
  }
  return is_bare_model(config) ? std::optional<uint32_t>(kPoolingLast) : std::nullopt;
}

std::vector<std::pair<std::string, json>> pooling_files(uint32_t pooling, uint32_t width) {
  json modules = json::array();
  const char* const parts[][2] = {{"", "Transformer"}, {"1_Pooling", "Pooling"}, {"2_Normalize", "Normalize"}};
  for (const auto& [path, name] : parts) {
    const size_t at = modules.size();
    modules.push_back({{"idx", at},
                       {"name", std::to_string(at)},
                       {"path", path},
                       {"type", std::string("sentence_transformers.models.") + name}});
  }
  json flags = {{"word_embedding_dimension", width}, {"include_prompt", true}};
  for (const Mode& mode : kModes) flags[mode.flag] = mode.pooling == pooling;
  return {{"modules.json", modules}, {"1_Pooling/config.json", flags}};
}

}  // namespace bitnet::checkpoint
