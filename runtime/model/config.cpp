// model/config.cpp - reads, defaults and range-checks the hyper-parameters.
#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gguf/format_error.h"
#include "model/ordinary_model.h"

namespace bitnet::model {
namespace {

constexpr uint64_t kMaxLayers = 512, kMaxWidth = BN_K_MAX, kMaxHeads = 1024, kMaxHeadDim = 1024;
constexpr uint64_t kMaxContext = 1u << 24, kMaxVocab = 1u << 20;
constexpr uint32_t kVocabularyContext = 4096;  // a file that is only a vocabulary names no context

[[noreturn]] void refuse(const gguf::File& file, const std::string& what) {
  gguf::fail_format(gguf::Fault::kInvalidMetadata, {}, "{}: {}", printable(file.path()), what);
}

[[noreturn]] void refuse_missing(const gguf::File& file, const std::string& key) {
  gguf::fail_format(gguf::Fault::kMissingMetadata, {key, {}, {}, {}, {}}, "{}: key {} is missing", printable(file.path()),
                    printable(key));
}

// What each value of general.architecture means for the graph.
struct Family {
  const char* architecture;
  uint32_t act;  // 0: decided by decide_activation()
  uint32_t rope_kind;
  uint64_t must;
  bool scaled_embeddings = false;  // by sqrt(n_embd)
};
constexpr uint64_t kSubNorms = BN_M_ATTN_SUB_NORM | BN_M_FFN_SUB_NORM;
constexpr Family kFamilies[] = {
    {"bitnet-b1.58", BN_ACT_RELU2, BN_ROPE_HALVES, kSubNorms},
    {"bitnet-25", BN_ACT_RELU2, BN_ROPE_HALVES, kSubNorms},
    {"bitnet", 0, BN_ROPE_HALVES, kSubNorms},
    {"llama", BN_ACT_SILU, BN_ROPE_PAIRS, 0},
    {"qwen3", BN_ACT_SILU, BN_ROPE_HALVES, BN_M_QK_NORM},
    {"gemma3", BN_ACT_GELU_TANH, BN_ROPE_HALVES, BN_M_QK_NORM | BN_M_POST_NORMS, true},
};
// Names that begin like this are taken by their tensors.
constexpr Family kOtherBitnet = {"bitnet", 0, BN_ROPE_HALVES, kSubNorms};

const Family& find_family(const gguf::File& file, Config& config) {
  for (const Family& family : kFamilies) {
    if (config.architecture == family.architecture) return family;
  }
  if (config.architecture.starts_with("bitnet")) {
    config.warnings.push_back(fmt::format("architecture '{}' is not known: running it as 'bitnet', as its tensors say",
                                          printable(config.architecture)));
    return kOtherBitnet;
  }
  const std::string ordinary = ordinary_model_text(file);
  refuse(file, fmt::format("general.architecture is '{}'; this version runs bitnet-b1.58, bitnet-25, bitnet, llama, qwen3 and "
                           "gemma3 with ternary matrices{}{}",
                           printable(config.architecture), ordinary.empty() ? "" : "; this is ", ordinary));
}

double number_of(const gguf::File& file, const std::string& key, gguf::ValueType type) {
  if (type == gguf::ValueType::kBool) return file.find_bool(key).value() ? 1 : 0;
  if (type == gguf::ValueType::kF32 || type == gguf::ValueType::kF64) return file.find_float(key).value();
  return static_cast<double>(file.find_int(key).value());
}

bool has_bias(const gguf::File& file) {
  const auto is_bias = [](const gguf::TensorInfo& tensor) { return tensor.name.ends_with(".bias"); };
  return std::any_of(file.tensors().begin(), file.tensors().end(), is_bias);
}

// Keys and tensors of model variants that compute something else: running them as the family they resemble gives nonsense.
void refuse_variants(const gguf::File& file, const std::string& architecture) {
  struct Variant {
    const char* name;
    const char* what;
    double neutral = 0;  // the value that changes nothing
  };
  static constexpr Variant kKeys[] = {{"yoco_u_iters", "running layers several times (YOCO)"},
                                      {"moe_ffn_dim", "a mixture of experts"},
                                      {"expert_count", "a mixture of experts"},
                                      {"attention.sliding_window", "attention in a window"},
                                      {"attn_logit_softcapping", "soft-capped attention"},
                                      {"final_logit_softcapping", "soft-capped logits"},
                                      {"attention.causal", "attention to later tokens", 1}};
  for (const Variant& v : kKeys) {
    const std::string key = architecture + "." + v.name;
    const gguf::KeyValue* entry = file.find(key);
    if (entry == nullptr) continue;
    const double value = number_of(file, key, entry->type);
    if (value != v.neutral) refuse(file, fmt::format("{} is {}: {} is not supported", printable(key), value, v.what));
  }
  static constexpr Variant kTensors[] = {{"emb_proj_in", "a projection of the embeddings"},
                                         {"wqkv_gate", "a gate on queries, keys and values"},
                                         {"ffn_gate_inp", "a mixture of experts"},
                                         {"_exps.", "a mixture of experts"}};
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    for (const Variant& v : kTensors) {
      if (tensor.name.find(v.name) == std::string::npos) continue;
      refuse(file, fmt::format("tensor {}: {} is not supported", printable(tensor.name), v.what));
    }
  }
}

// Reads `A.name` keys with a range each.
class Keys {
 public:
  Keys(const gguf::File& file, const std::string& architecture) : file_(file), prefix_(architecture + ".") {}

  std::string key(const char* name) const { return prefix_ + name; }

  uint32_t required(const char* name, uint64_t low, uint64_t high) const {
    const auto value = number(name);
    if (!value) refuse_missing(file_, key(name));
    return ranged(name, *value, low, high);
  }
  uint32_t optional(const char* name, uint64_t low, uint64_t high, uint64_t otherwise) const {
    return ranged(name, number(name).value_or(otherwise), low, high);
  }
  double real(const char* name, double otherwise) const { return file_.find_float(key(name)).value_or(otherwise); }

 private:
  // An array of equal values, one per layer, counts as the value.
  std::optional<uint64_t> number(const char* name) const {
    const gguf::KeyValue* entry = file_.find(key(name));
    if (entry == nullptr || entry->type != gguf::ValueType::kArray) return file_.find_uint(key(name));
    const auto values = file_.find_uint_array(key(name));
    if (values->empty()) refuse(file_, fmt::format("{} is an empty array", printable(key(name))));
    for (uint64_t value : *values) {
      if (value != values->front()) {
        refuse(file_, fmt::format("{} differs between layers ({} and {}); such models are not supported", printable(key(name)),
                                  values->front(), value));
      }
    }
    return values->front();
  }
  uint32_t ranged(const char* name, uint64_t value, uint64_t low, uint64_t high) const {
    if (value < low || value > high) {
      refuse(file_, fmt::format("{} is {}, expected {} to {}", printable(key(name)), value, low, high));
    }
    return static_cast<uint32_t>(value);
  }

  const gguf::File& file_;
  std::string prefix_;
};

// The embedding models are causal and their last token speaks for the text. Their converter writes MEAN when it finds nothing,
// so that MEAN in a GGUF file says nothing, unless a second key has it from the model's makers (checkpoint/hf_config). A file
// that says how to pool and has no head of its own is not for generating.
void read_pooling(const gguf::File& file, const Keys& keys, Config& config) {
  constexpr uint32_t kMean = 1, kMostKinds = 4;  // none, mean, first token, last token, rank
  if (file.find(keys.key("pooling_type")) == nullptr || file.find_tensor("output.weight") != nullptr) return;
  const uint32_t kind = keys.optional("pooling_type", 0, kMostKinds, 0);
  if (kind == kMostKinds) {
    refuse(file, fmt::format("{} is {}: models that rank texts are not supported", keys.key("pooling_type"), kind));
  }
  static constexpr uint32_t kPooling[] = {BN_POOL_NONE, BN_POOL_MEAN, BN_POOL_FIRST, BN_POOL_LAST};
  const bool said_by_converter = kind == kMean && !file.find_bool(keys.key("pooling_type_is_stated")).value_or(false);
  config.arch.must |= BN_M_NO_HEAD;
  choose_pooling(config, said_by_converter ? uint32_t{BN_POOL_LAST} : kPooling[kind], true);
  if (said_by_converter) {
    config.pooling_note =
        "the last token of each text; the file says mean, but converters write that when they find nothing, and these "
        "models are made for the last token (--pooling mean takes the mean)";
  }
}

// Gate of a family whose name does not tell it.
uint32_t decide_activation(const gguf::File& file, const Keys& keys, Config& config) {
  if (const auto name = file.find_string(keys.key("hidden_activation"))) {
    if (*name == "relu2") return BN_ACT_RELU2;
    if (*name == "silu") return BN_ACT_SILU;
    refuse(file, fmt::format("{} is '{}', expected relu2 or silu", keys.key("hidden_activation"), printable(*name)));
  }
  if (config.arch.n_vocab == 128256 && config.arch.n_layers == 30) {
    config.warnings.push_back(
        "architecture 'bitnet' with the shape of BitNet b1.58 2B-4T and no hidden_activation: using relu2");
    return BN_ACT_RELU2;
  }
  if (config.architecture == "bitnet") return BN_ACT_SILU;
  config.warnings.push_back("the gate function is not in the file: using relu2, as the later BitNet models do");
  return BN_ACT_RELU2;
}

void read_rope(const gguf::File& file, const Keys& keys, Config& config) {
  bn_arch& arch = config.arch;
  arch.rope_dim = keys.optional("rope.dimension_count", 2, arch.head_dim, arch.head_dim);
  if (arch.rope_dim % 2 != 0)
    refuse(file, fmt::format("{} is {}, expected an even number", keys.key("rope.dimension_count"), arch.rope_dim));
  arch.rope_base = keys.real("rope.freq_base", 10000.0);
  if (!(arch.rope_base >= 1.0 && arch.rope_base <= 1e12)) {
    refuse(file, fmt::format("{} is {}, expected 1 to 1e12", keys.key("rope.freq_base"), arch.rope_base));
  }
  const std::string_view scaling = file.find_string(keys.key("rope.scaling.type")).value_or("none");
  if (scaling == "linear") {
    config.rope_scale = keys.real("rope.scaling.factor", 1.0);
    if (!(config.rope_scale > 0 && config.rope_scale < 1e6)) {
      refuse(file, fmt::format("{} is {}, expected a positive number", keys.key("rope.scaling.factor"), config.rope_scale));
    }
  } else if (scaling != "none") {
    refuse(file,
           fmt::format("{} is '{}'; this version knows none and linear", keys.key("rope.scaling.type"), printable(scaling)));
  }
}

}  // namespace

void choose_pooling(Config& config, uint32_t pooling, bool unit_length) {
  config.arch.pooling = pooling;
  config.arch.must &= ~uint64_t{BN_M_L2_POOLED};
  if (pooling != BN_POOL_NONE && unit_length) config.arch.must |= BN_M_L2_POOLED;
}

const char* pooling_name(uint32_t pooling) {
  switch (pooling) {
    case BN_POOL_LAST:
      return "last";
    case BN_POOL_MEAN:
      return "mean";
    case BN_POOL_FIRST:
      return "cls";
    default:
      return "none";
  }
}

Config read_config(const gguf::File& file) {
  Config config;
  bn_arch& arch = config.arch;
  arch.struct_size = sizeof arch;
  const auto architecture = file.find_string("general.architecture");
  if (!architecture) refuse_missing(file, "general.architecture");
  config.architecture = std::string(*architecture);
  config.name = std::string(file.find_string("general.name").value_or(""));
  std::snprintf(arch.family, sizeof arch.family, "%s", printable(config.architecture, 24).c_str());
  const Keys keys(file, config.architecture);

  if (file.tensors().empty()) {
    const gguf::KeyValue* tokens = file.find("tokenizer.ggml.tokens");
    if (tokens == nullptr) refuse(file, "holds neither tensors nor a vocabulary");
    if (tokens->count == 0 || tokens->count > kMaxVocab)
      refuse(file, fmt::format("holds {} tokens, expected 1 to {}", tokens->count, kMaxVocab));
    arch.n_vocab = static_cast<uint32_t>(tokens->count);
    arch.n_ctx_max = keys.optional("context_length", 1, kMaxContext, kVocabularyContext);
    config.warnings.push_back("the file holds a vocabulary and no tensors; only a backend without weights can use it");
    return config;
  }

  const Family& family = find_family(file, config);
  refuse_variants(file, config.architecture);
  const gguf::TensorInfo* embeddings = file.find_tensor("token_embd.weight");
  if (embeddings == nullptr) refuse(file, "tensor token_embd.weight is missing");
  arch.n_vocab = keys.optional("vocab_size", 1, kMaxVocab, embeddings->rows());
  if (arch.n_vocab != embeddings->rows()) {
    refuse(file, fmt::format("{} is {}, but token_embd.weight has {} rows", keys.key("vocab_size"), arch.n_vocab,
                             embeddings->rows()));
  }
  arch.n_layers = keys.required("block_count", 1, kMaxLayers);
  arch.n_embd = keys.required("embedding_length", 1, kMaxWidth);
  arch.n_ff = keys.required("feed_forward_length", 1, kMaxWidth);
  arch.n_ctx_max = keys.required("context_length", 1, kMaxContext);
  arch.n_heads = keys.required("attention.head_count", 1, kMaxHeads);
  arch.n_kv_heads = keys.optional("attention.head_count_kv", 1, kMaxHeads, arch.n_heads);
  if (arch.n_heads % arch.n_kv_heads != 0) {
    refuse(file, fmt::format("{} heads cannot share {} key/value heads evenly", arch.n_heads, arch.n_kv_heads));
  }
  if (file.find(keys.key("attention.key_length")) == nullptr && arch.n_embd % arch.n_heads != 0) {
    refuse(file, fmt::format("{} {} is no multiple of {} heads, and {} is missing", keys.key("embedding_length"), arch.n_embd,
                             arch.n_heads, keys.key("attention.key_length")));
  }
  arch.head_dim = keys.optional("attention.key_length", 1, kMaxHeadDim, arch.n_embd / arch.n_heads);
  keys.optional("attention.value_length", arch.head_dim, arch.head_dim, arch.head_dim);
  if (static_cast<uint64_t>(arch.n_heads) * arch.head_dim > kMaxWidth) {
    refuse(file, fmt::format("{} heads of {} are wider than {}", arch.n_heads, arch.head_dim, kMaxWidth));
  }
  const double eps = keys.real("attention.layer_norm_rms_epsilon", 0.0);
  if (!(eps > 0 && eps <= 1)) {
    refuse(file,
           fmt::format("{} is {}, expected more than 0 and at most 1", keys.key("attention.layer_norm_rms_epsilon"), eps));
  }
  arch.norm_eps = static_cast<float>(eps);
  read_rope(file, keys, config);
  arch.rope_kind = family.rope_kind;
  arch.must = family.must;
  if (file.find_tensor("blk.0.attn_q_norm_in.weight") != nullptr) arch.must |= BN_M_IN_NORMS;
  if (has_bias(file)) arch.must |= BN_M_BIASES;
  arch.act = family.act != 0 ? family.act : decide_activation(file, keys, config);
  arch.act_quant = BN_AQ_TOKEN_I8;
  arch.attn_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(arch.head_dim)));
  arch.embd_scale = family.scaled_embeddings ? static_cast<float>(std::sqrt(static_cast<double>(arch.n_embd))) : 1.0f;
  read_pooling(file, keys, config);
  if (file.find_tensor("output.weight") == nullptr && !(arch.must & BN_M_NO_HEAD)) arch.must |= BN_M_TIED_HEAD;
  return config;
}

}  // namespace bitnet::model
