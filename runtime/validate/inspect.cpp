// validate/inspect.cpp - collects, and prints as tables or JSON.
#include "validate/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "gguf/float_formats.h"
#include "model/kv_cache.h"
#include "model/screened_head.h"

namespace bitnet::validate {
namespace {

using nlohmann::json;

constexpr uint64_t kElementsShown = 6;  // of an array key
constexpr size_t kTextShown = 60;       // bytes of a text key

template <class T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

json number_at(gguf::ValueType type, const uint8_t* at) {
  using V = gguf::ValueType;
  switch (type) {
    case V::kU8:
      return load<uint8_t>(at);
    case V::kI8:
      return load<int8_t>(at);
    case V::kU16:
      return load<uint16_t>(at);
    case V::kI16:
      return load<int16_t>(at);
    case V::kU32:
      return load<uint32_t>(at);
    case V::kI32:
      return load<int32_t>(at);
    case V::kF32:
      return load<float>(at);
    case V::kBool:
      return *at != 0;
    case V::kU64:
      return load<uint64_t>(at);
    case V::kI64:
      return load<int64_t>(at);
    case V::kF64:
      return load<double>(at);
    default:
      return nullptr;
  }
}

// The value, or the first elements of an array.
json value_of(const gguf::KeyValue& key) {
  const auto text = [](const uint8_t* at, uint64_t bytes) {
    return json(std::string(reinterpret_cast<const char*>(at), static_cast<size_t>(bytes)));
  };
  if (key.type == gguf::ValueType::kString) return text(key.data, key.bytes);
  if (key.type != gguf::ValueType::kArray) return number_at(key.type, key.data);
  json first = json::array();
  const uint8_t* at = key.data;
  for (uint64_t i = 0; i < std::min(key.count, kElementsShown); ++i) {
    if (key.element_type == gguf::ValueType::kString) {
      const auto length = load<uint64_t>(at);
      first.push_back(text(at + 8, length));
      at += 8 + length;
    } else {
      first.push_back(number_at(key.element_type, at));
      at += gguf::value_type_bytes(key.element_type);
    }
  }
  return first;
}

std::string type_of(const gguf::KeyValue& key) {
  if (key.type != gguf::ValueType::kArray) return gguf::value_type_name(key.type);
  return fmt::format("{}[{}]", gguf::value_type_name(key.element_type), key.count);
}

std::string shown(const json& value) {
  if (value.is_string()) return '"' + printable(value.get_ref<const std::string&>(), kTextShown) + '"';
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string shown(const gguf::KeyValue& key) {
  const json value = value_of(key);
  if (key.type != gguf::ValueType::kArray) return shown(value);
  std::vector<std::string> parts;
  for (const json& element : value) parts.push_back(shown(element));
  return fmt::format("[{}{}]", fmt::join(parts, ", "), key.count > parts.size() ? ", ..." : "");
}

json text_or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

std::string megabytes(uint64_t bytes) { return fmt::format("{:.1f} MB", 1e-6 * static_cast<double>(bytes)); }

std::string statistics_text(const TensorStatistics& s) {
  if (s.ternary) {
    const double all = static_cast<double>(s.ternary->negative + s.ternary->zero + s.ternary->positive);
    const auto share = [&](uint64_t n) { return 100 * static_cast<double>(n) / all; };
    const std::string scale = s.ternary->scale_low == s.ternary->scale_high
                                  ? fmt::format("scale {:.6g}", s.ternary->scale_low)
                                  : fmt::format("scales {:.6g} .. {:.6g}", s.ternary->scale_low, s.ternary->scale_high);
    return fmt::format("-1 {:.1f} %, 0 {:.1f} %, +1 {:.1f} %, {}", share(s.ternary->negative), share(s.ternary->zero),
                       share(s.ternary->positive), scale);
  }
  if (!s.numbers) return {};
  const std::string bad = s.numbers->not_finite == 0 ? "" : fmt::format(", {} NOT FINITE", s.numbers->not_finite);
  return fmt::format("rms {:.4g}, {:.4g} .. {:.4g}{}", s.numbers->rms, s.numbers->low, s.numbers->high, bad);
}

std::vector<Census> take_census(const gguf::File& file) {
  std::map<std::string, Census> by_type;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    Census& c = by_type[tensor.type->name];
    c.type = tensor.type->name;
    ++c.tensors;
    c.weights += tensor.rows() * tensor.columns();
    c.bytes += tensor.bytes;
  }
  std::vector<Census> census;
  for (auto& [name, c] : by_type) census.push_back(std::move(c));
  std::stable_sort(census.begin(), census.end(), [](const Census& a, const Census& b) { return a.bytes > b.bytes; });
  return census;
}

MemoryNeed memory_need(const gguf::File& file, const model::Config& config) {
  MemoryNeed need;
  need.file = file.size();
  need.kv_per_position = model::KvCache::bytes_per_position(config.arch, BN_DT_F32);
  need.kv_at_context = need.kv_per_position * config.arch.n_ctx_max;
  if (config.arch.must & BN_M_NO_HEAD) return need;
  const gguf::TensorInfo* head = file.find_tensor("output.weight");
  if (head == nullptr) head = file.find_tensor("token_embd.weight");
  const auto dtype = head != nullptr ? gguf::dense_dtype(*head->type) : std::nullopt;
  if (dtype && model::screen_pays_off(*dtype, head->bytes)) need.head_copy = model::screen_bytes(head->rows(), head->columns());
  return need;
}

}  // namespace

Inspection inspect(const gguf::File& file, const model::Config* config, const gguf::TernaryOptions* statistics) {
  Inspection result;
  result.file = &file;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    TensorReport t{tensor.name, tensor.type->name, {}, tensor.offset, tensor.bytes, {}};
    t.extents.assign(tensor.extents.begin(), tensor.extents.begin() + tensor.n_dims);
    if (statistics != nullptr) t.statistics = tensor_statistics(tensor, *statistics);
    result.tensors.push_back(std::move(t));
  }
  result.census = take_census(file);
  if (config != nullptr && config->arch.n_layers != 0) result.memory = memory_need(file, *config);
  if (config != nullptr && (config->arch.must & BN_M_NO_HEAD)) {
    result.pooling = model::pooling_name(config->arch.pooling);
    result.pooling_note = config->pooling_note;
  }
  return result;
}

std::string inspection_text(const Inspection& inspection) {
  const gguf::File& file = *inspection.file;
  const bool gguf_file = file.version() != 0;
  std::string out = fmt::format("{}: {}, {}\n", printable(file.path(), 4096),
                                gguf_file ? fmt::format("GGUF version {}, alignment {}", file.version(), file.alignment())
                                          : "checkpoint in safetensors, under GGUF names",
                                megabytes(file.size()));
  out += fmt::format("\nkeys ({})\n", file.keys().size());
  for (const gguf::KeyValue& key : file.keys())
    out += fmt::format("  {:<46} {:<14} {}\n", printable(key.key), type_of(key), shown(key));
  out += fmt::format("\ntensors ({})\n", inspection.tensors.size());
  for (const TensorReport& t : inspection.tensors) {
    out += fmt::format("  {:<28} {:<12} {:<16} {:>12}  {}\n", printable(t.name), t.type,
                       fmt::format("[{}]", fmt::join(t.extents, ", ")), t.bytes, statistics_text(t.statistics));
  }
  out += "\ncensus\n";
  for (const Census& c : inspection.census) {
    out += fmt::format("  {:<12} {:>5} tensors {:>14} weights {:>12}\n", c.type, c.tensors, c.weights, megabytes(c.bytes));
  }
  if (const auto& m = inspection.memory) {
    out += fmt::format(
        "\nmemory\n  {:<12} mapped from the file\n  {:<12} int8 copy of the output head (--head full: none)\n"
        "  {:<12} keys and values of each position in f32, {} of the whole context; f16 takes half\n",
        megabytes(m->file), megabytes(m->head_copy), fmt::format("{} B", m->kv_per_position), megabytes(m->kv_at_context));
  }
  if (!inspection.pooling.empty()) {
    out +=
        fmt::format("\nembedding model\n  pooling {}\n",
                    inspection.pooling_note.empty() ? inspection.pooling : inspection.pooling + ": " + inspection.pooling_note);
  }
  return out;
}

json inspection_json(const Inspection& inspection) {
  const gguf::File& file = *inspection.file;
  json keys = json::array(), census = json::array();
  for (const gguf::KeyValue& key : file.keys()) {
    keys.push_back({{"key", key.key}, {"type", type_of(key)}, {"value", value_of(key)}, {"count", key.count}});
  }
  for (const Census& c : inspection.census) {
    census.push_back({{"type", c.type}, {"tensors", c.tensors}, {"weights", c.weights}, {"bytes", c.bytes}});
  }
  json memory = nullptr;
  if (const auto& m = inspection.memory) {
    memory = {{"file", m->file},
              {"head_copy", m->head_copy},
              {"kv_per_position", m->kv_per_position},
              {"kv_at_context", m->kv_at_context}};
  }
  return {{"schema", 1},
          {"file", file.path()},
          {"bytes", file.size()},
          {"version", file.version() != 0 ? json(file.version()) : json(nullptr)},
          {"alignment", file.version() != 0 ? json(file.alignment()) : json(nullptr)},
          {"keys", keys},
          {"tensor_info", tensors_json(inspection.tensors)},
          {"census", census},
          {"memory", memory},
          {"pooling", text_or_null(inspection.pooling)},
          {"pooling_note", text_or_null(inspection.pooling_note)},
          {"warnings", file.warnings()}};
}

}  // namespace bitnet::validate
