// checkpoint/hf_config.cpp - family, sizes, rotation and quantization, each read with its range.
#include "checkpoint/hf_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "checkpoint/safetensors.h"

namespace bitnet::checkpoint {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxConfigBytes = uint64_t{4} << 20;
constexpr uint64_t kMaxSize = uint64_t{1} << 24;  // any width or count; what a backend takes is checked later

class Fields {
 public:
  Fields(const std::string& path, const json& object, std::string prefix = {})
      : path_(path), object_(object), prefix_(std::move(prefix)) {}

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::kInvalidModel, "{}: {}", printable(path_), fmt::format(format, std::forward<Args>(args)...));
  }
  std::string name(const char* field) const { return prefix_ + field; }

  // Null when absent or null.
  const json* find(const char* field) const {
    const auto at = object_.find(field);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  std::optional<uint32_t> size(const char* field) const {
    const json* value = find(field);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_unsigned() || *value == 0u || *value > kMaxSize) mismatch(field, "a number from 1 to 16777216");
    return value->get<uint32_t>();
  }
  uint32_t required(const char* field) const {
    const auto value = size(field);
    if (!value) refuse("{} is missing", name(field));
    return *value;
  }
  std::optional<double> real(const char* field) const {
    const json* value = find(field);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) mismatch(field, "a number");
    return value->get<double>();
  }
  bool flag(const char* field, bool otherwise) const {
    const json* value = find(field);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) mismatch(field, "true or false");
    return value->get<bool>();
  }
  std::string text(const char* field, const char* otherwise) const {
    const json* value = find(field);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) mismatch(field, "a text");
    return value->get<std::string>();
  }
  std::optional<Fields> object(const char* field) const {
    const json* value = find(field);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) mismatch(field, "an object");
    return Fields(path_, *value, prefix_ + field + ".");
  }

 private:
  [[noreturn]] void mismatch(const char* field, const char* expected) const {
    refuse("{} is {}, expected {}", name(field), printable(object_.at(field).dump()), expected);
  }

  const std::string& path_;
  const json& object_;
  std::string prefix_;
};

bool has_architecture(const Fields& config, std::string_view wanted) {
  const json* list = config.find("architectures");
  if (list == nullptr || !list->is_array()) return false;
  return std::any_of(list->begin(), list->end(), [&](const json& a) { return a.is_string() && a == wanted; });
}

void read_quantization(const std::optional<Fields>& quantization, HfConfig& out) {
  if (!quantization) return;
  const std::string method = quantization->text("quant_method", "");
  if (method != "bitnet") quantization->refuse("quantization_config.quant_method is '{}', expected bitnet", printable(method));
  const std::string linear = quantization->text("linear_class", "bitlinear");
  if (linear != "bitlinear" && linear != "autobitlinear") {
    quantization->refuse("quantization_config.linear_class is '{}', expected bitlinear or autobitlinear", printable(linear));
  }
  out.inverse_scales = linear == "bitlinear";
  if (quantization->flag("use_rms_norm", false)) {
    quantization->refuse("quantization_config.use_rms_norm is true; such checkpoints are not read yet, use the GGUF file");
  }
}

// Architecture and activation: which of the model families this is.
void read_family(const Fields& config, bool quantized, HfConfig& out, gguf::KeyValues& keys) {
  const std::string type = config.text("model_type", ""), act = config.text("hidden_act", "silu");
  const bool bitnet =
      type == "bitnet" || has_architecture(config, "BitnetForCausalLM") || has_architecture(config, "BitNetForCausalLM");
  if (!bitnet && type != "llama") {
    config.refuse("model_type is '{}'; checkpoints of model_type bitnet and llama are read", printable(type));
  }
  if (!bitnet && !quantized) {
    config.refuse("a llama model without quantization_config.quant_method \"bitnet\" is not ternary; nothing here can run it");
  }
  if (act != "silu" && !(bitnet && act == "relu2")) {
    config.refuse("hidden_act is '{}', expected {}", printable(act), bitnet ? "relu2 or silu" : "silu");
  }
  out.architecture = !bitnet ? "llama" : act == "relu2" ? "bitnet-b1.58" : "bitnet";
  out.sub_norms = bitnet;
  out.pairs = !bitnet;
  out.master_allowed = bitnet || quantized;
  keys.add_string("general.architecture", out.architecture);
  if (out.architecture == "bitnet") keys.add_string("bitnet.hidden_activation", act);
}

void add_rotation(const Fields& config, const std::string& prefix, gguf::KeyValues& keys) {
  const std::optional<Fields> newer = config.object("rope_parameters");  // transformers 5
  const std::optional<Fields> scaling = newer ? newer : config.object("rope_scaling");
  const double base =
      newer && newer->find("rope_theta") != nullptr ? *newer->real("rope_theta") : config.real("rope_theta").value_or(10000.0);
  keys.add<float>(prefix + "rope.freq_base", static_cast<float>(base));
  if (!scaling) return;
  const std::string type = scaling->text("rope_type", scaling->text("type", "default").c_str());
  if (type == "linear") {
    keys.add_string(prefix + "rope.scaling.type", "linear");
    keys.add<float>(prefix + "rope.scaling.factor", static_cast<float>(scaling->real("factor").value_or(1.0)));
  } else if (type != "default") {
    scaling->refuse("the RoPE scaling '{}' is not supported, expected default or linear", printable(type));
  }
}

}  // namespace

HfConfig read_hf_config(const std::string& path, const std::string& name, gguf::KeyValues& keys) {
  const json document = read_json(path, kMaxConfigBytes);
  if (!document.is_object()) fail(ErrorKind::kInvalidModel, "{}: no JSON object", printable(path));
  const Fields config(path, document);
  const std::optional<Fields> quantization = config.object("quantization_config");
  HfConfig out;
  read_quantization(quantization, out);
  read_family(config, quantization.has_value(), out, keys);
  for (const char* field : {"attention_bias", "mlp_bias"}) {
    if (config.flag(field, false)) config.refuse("{} is true; models with biases are not supported", field);
  }
  out.n_vocab = config.required("vocab_size");
  out.n_embd = config.required("hidden_size");
  out.n_ff = config.required("intermediate_size");
  out.n_layers = config.required("num_hidden_layers");
  out.n_heads = config.required("num_attention_heads");
  out.n_kv_heads = config.size("num_key_value_heads").value_or(out.n_heads);
  const auto head_dim = config.size("head_dim");
  if (!head_dim && out.n_embd % out.n_heads != 0) {
    config.refuse("hidden_size {} is no multiple of {} heads, and head_dim is missing", out.n_embd, out.n_heads);
  }
  out.head_dim = head_dim.value_or(out.n_embd / out.n_heads);
  if (out.pairs && out.head_dim % 2 != 0) config.refuse("head_dim is {}, expected an even number", out.head_dim);
  out.tied = config.flag("tie_word_embeddings", false);

  const std::string prefix = out.architecture + ".";
  keys.add_string("general.name", name);
  keys.add<uint32_t>("general.quantization_version", 2);
  keys.add<uint32_t>(prefix + "vocab_size", out.n_vocab);
  keys.add<uint32_t>(prefix + "context_length", config.required("max_position_embeddings"));
  keys.add<uint32_t>(prefix + "embedding_length", out.n_embd);
  keys.add<uint32_t>(prefix + "block_count", out.n_layers);
  keys.add<uint32_t>(prefix + "feed_forward_length", out.n_ff);
  keys.add<uint32_t>(prefix + "rope.dimension_count", out.head_dim);
  keys.add<uint32_t>(prefix + "attention.head_count", out.n_heads);
  keys.add<uint32_t>(prefix + "attention.head_count_kv", out.n_kv_heads);
  keys.add<uint32_t>(prefix + "attention.key_length", out.head_dim);
  keys.add<uint32_t>(prefix + "attention.value_length", out.head_dim);
  keys.add<float>(prefix + "attention.layer_norm_rms_epsilon", static_cast<float>(config.real("rms_norm_eps").value_or(1e-6)));
  add_rotation(config, prefix, keys);
  return out;
}

}  // namespace bitnet::checkpoint
