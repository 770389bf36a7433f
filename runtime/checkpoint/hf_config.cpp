// checkpoint/hf_config.cpp - family, sizes, rotation and quantization, each read with its range.
#include "checkpoint/hf_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "checkpoint/pooling_config.h"
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

// What a model_type is. BitNet models are found by more than that.
struct Family {
  const char* model_type;
  const char* architecture;  // of the GGUF file
  const char* activation;    // the one that its graph has
  double rope_base;          // when the configuration names none, as transformers has it
  bool tied;                 // likewise
};
constexpr Family kBitnet = {"bitnet", "bitnet", "silu", 10000, false};
constexpr Family kFamilies[] = {{"llama", "llama", "silu", 10000, false},
                                {"qwen3", "qwen3", "silu", 10000, false},
                                {"gemma3_text", "gemma3", "gelu_pytorch_tanh", 1e6, true}};

void read_quantization(const Fields& config, const std::optional<Fields>& quantization, HfConfig& out) {
  if (!quantization) return;
  const std::string method = quantization->text("quant_method", "");
  if (method != "bitnet") quantization->refuse("quantization_config.quant_method is '{}', expected bitnet", printable(method));
  const std::string linear = quantization->text("linear_class", "bitlinear");
  if (linear != "bitlinear" && linear != "autobitlinear") {
    quantization->refuse("quantization_config.linear_class is '{}', expected bitlinear or autobitlinear", printable(linear));
  }
  out.inverse_scales = linear == "bitlinear";
  out.in_norms = quantization->flag("use_rms_norm", false);
  if (!out.in_norms) return;
  const double own = quantization->real("rms_norm_eps").value_or(1e-6), all = config.real("rms_norm_eps").value_or(1e-6);
  if (static_cast<float>(own) != static_cast<float>(all)) {
    quantization->refuse(
        "quantization_config.rms_norm_eps is {} and rms_norm_eps is {}; norms with different ones are not supported", own, all);
  }
}

// Architecture and activation: which of the model families this is.
const Family& read_family(const Fields& config, bool quantized, HfConfig& out, gguf::KeyValues& keys) {
  const std::string type = config.text("model_type", "");
  const bool bitnet =
      type == "bitnet" || has_architecture(config, "BitnetForCausalLM") || has_architecture(config, "BitNetForCausalLM");
  const auto known =
      std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) { return type == f.model_type; });
  if (!bitnet && known == std::end(kFamilies)) {
    config.refuse("model_type is '{}'; checkpoints of model_type bitnet, llama, qwen3 and gemma3_text are read",
                  printable(type));
  }
  const Family& family = bitnet ? kBitnet : *known;
  out.architecture = family.architecture;
  if (out.architecture == "llama" && !quantized) {
    config.refuse("a llama model without quantization_config.quant_method \"bitnet\" is not ternary; nothing here can run it");
  }
  const std::string act = config.text("hidden_act", config.text("hidden_activation", family.activation).c_str());
  if (act != family.activation && !(bitnet && act == "relu2")) {
    config.refuse("hidden_act is '{}', expected {}", printable(act), bitnet ? "relu2 or silu" : family.activation);
  }
  if (bitnet && act == "relu2") out.architecture = "bitnet-b1.58";
  out.sub_norms = bitnet;
  out.pairs = out.architecture == "llama";
  out.qk_norms = out.architecture == "qwen3" || out.architecture == "gemma3";
  out.post_norms = out.gains_less_one = out.architecture == "gemma3";
  out.in_norms_needed = out.qk_norms && !quantized;
  out.master_allowed = bitnet || quantized || out.in_norms_needed;
  keys.add_string("general.architecture", out.architecture);
  if (out.architecture == "bitnet") keys.add_string("bitnet.hidden_activation", act);
  return family;
}

// The one base that all layers rotate with. Newer configurations have an object for each kind of layer.
double rope_base(const Fields& config, const std::optional<Fields>& newer, const Family& family) {
  const auto base_of = [&](const std::optional<Fields>& object) {
    return object && object->find("rope_theta") != nullptr ? object->real("rope_theta") : std::nullopt;
  };
  std::optional<double> full = base_of(newer), sliding = config.real("rope_local_base_freq");
  if (newer && !full) {
    full = base_of(newer->object("full_attention"));
    sliding = base_of(newer->object("sliding_attention"));
  }
  const double base = full.value_or(config.real("rope_theta").value_or(family.rope_base));
  if (family.architecture != std::string_view("gemma3")) return base;
  if (sliding.value_or(10000.0) != base) {
    config.refuse("layers rotate with two bases ({} and {}), which is not supported", base, sliding.value_or(10000.0));
  }
  return base;
}

void add_rotation(const Fields& config, const Family& family, const std::string& prefix, gguf::KeyValues& keys) {
  const std::optional<Fields> newer = config.object("rope_parameters");  // transformers 5
  const std::optional<Fields> scaling = newer ? newer : config.object("rope_scaling");
  keys.add<float>(prefix + "rope.freq_base", static_cast<float>(rope_base(config, newer, family)));
  if (!scaling) return;
  const std::string type = scaling->text("rope_type", scaling->text("type", "default").c_str());
  if (type == "linear") {
    keys.add_string(prefix + "rope.scaling.type", "linear");
    keys.add<float>(prefix + "rope.scaling.factor", static_cast<float>(scaling->real("factor").value_or(1.0)));
  } else if (type != "default") {
    scaling->refuse("the RoPE scaling '{}' is not supported, expected default or linear", printable(type));
  }
}

// Some layers of Gemma3, and of Qwen3 where it is asked for, look back over a window only. Shorter texts do not notice.
uint32_t read_context(const Fields& config, const Family& family, HfConfig& out) {
  const uint32_t context = config.required("max_position_embeddings");
  const bool gemma = family.architecture == std::string_view("gemma3");
  if (!gemma && family.architecture != std::string_view("qwen3")) return context;
  bool sliding = gemma ? config.size("sliding_window_pattern").value_or(6) > 1 : config.flag("use_sliding_window", false);
  if (const json* kinds = config.find("layer_types"); kinds != nullptr && kinds->is_array()) {
    sliding = std::find(kinds->begin(), kinds->end(), json("sliding_attention")) != kinds->end();
  }
  const auto window = config.size("sliding_window");
  if (!sliding || !window || *window >= context) return context;
  out.warnings.push_back(
      fmt::format("some layers look back over {} tokens only, which is not computed here: texts can have {} tokens, not {}",
                  *window, *window, context));
  return *window;
}

// Parts that Gemma3 configurations may ask for and its graph here does not have.
void refuse_gemma_variants(const Fields& config, const HfConfig& out) {
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (config.find(cap) != nullptr) config.refuse("{} is set, which is not supported", cap);
  }
  if (config.flag("use_bidirectional_attention", false)) {
    config.refuse("use_bidirectional_attention is true: attention to later tokens is not supported");
  }
  const double scalar = config.real("query_pre_attn_scalar").value_or(256);
  if (scalar != out.head_dim) config.refuse("query_pre_attn_scalar is {}, expected head_dim, {}", scalar, out.head_dim);
}

void read_sizes(const Fields& config, HfConfig& out) {
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
}

}  // namespace

HfConfig read_hf_config(const std::string& path, const std::string& name, gguf::KeyValues& keys) {
  const json document = read_json(path, kMaxConfigBytes);
  if (!document.is_object()) fail(ErrorKind::kInvalidModel, "{}: no JSON object", printable(path));
  const Fields config(path, document);
  const std::optional<Fields> quantization = config.object("quantization_config");
  HfConfig out;
  read_quantization(config, quantization, out);
  const Family& family = read_family(config, quantization.has_value(), out, keys);
  read_sizes(config, out);
  if (out.post_norms) refuse_gemma_variants(config, out);
  out.attention_biases = config.flag("attention_bias", false);
  out.mlp_biases = config.flag("mlp_bias", false);
  out.tied = config.flag("tie_word_embeddings", family.tied);

  const std::string prefix = out.architecture + ".";
  keys.add_string("general.name", name);
  keys.add<uint32_t>("general.quantization_version", 2);
  keys.add<uint32_t>(prefix + "vocab_size", out.n_vocab);
  keys.add<uint32_t>(prefix + "context_length", read_context(config, family, out));
  keys.add<uint32_t>(prefix + "embedding_length", out.n_embd);
  keys.add<uint32_t>(prefix + "block_count", out.n_layers);
  keys.add<uint32_t>(prefix + "feed_forward_length", out.n_ff);
  keys.add<uint32_t>(prefix + "rope.dimension_count", out.head_dim);
  keys.add<uint32_t>(prefix + "attention.head_count", out.n_heads);
  keys.add<uint32_t>(prefix + "attention.head_count_kv", out.n_kv_heads);
  keys.add<uint32_t>(prefix + "attention.key_length", out.head_dim);
  keys.add<uint32_t>(prefix + "attention.value_length", out.head_dim);
  keys.add<float>(prefix + "attention.layer_norm_rms_epsilon", static_cast<float>(config.real("rms_norm_eps").value_or(1e-6)));
  add_rotation(config, family, prefix, keys);
  if (const auto pooling = read_pooling(path, document)) {
    out.head = false;
    keys.add<uint32_t>(prefix + "pooling_type", *pooling);
    // In GGUF files that say mean it is what converters write that found nothing.
    if (*pooling == kPoolingMean) keys.add<bool>(prefix + "pooling_type_is_stated", true);
  }
  return out;
}

}  // namespace bitnet::checkpoint
