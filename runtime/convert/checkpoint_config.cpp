// convert/checkpoint_config.cpp - from the graph of a model back to the fields that ask for it.
#include "convert/checkpoint_config.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/pooling_config.h"

namespace bitnet::convert {
namespace {

// Families by their name in GGUF files; all that begin with "bitnet" are one.
struct Family {
  std::string_view architecture;
  uint64_t parts;  // that its configurations always ask for
};
constexpr Family kFamilies[] = {{"bitnet", BN_M_ATTN_SUB_NORM | BN_M_FFN_SUB_NORM},
                                {"llama", 0},
                                {"qwen3", BN_M_QK_NORM},
                                {"gemma3", BN_M_QK_NORM | BN_M_POST_NORMS}};
// What any of them may have besides.
constexpr uint64_t kOptionalParts = BN_M_TIED_HEAD | BN_M_NO_HEAD | BN_M_L2_POOLED | BN_M_IN_NORMS | BN_M_BIASES;

const Family& family_of(const model::Config& model) {
  const auto at = std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) {
    return f.architecture == "bitnet" ? model.architecture.starts_with("bitnet") : f.architecture == model.architecture;
  });
  if (at == std::end(kFamilies)) {
    refuse_checkpoint(
        fmt::format("its architecture is {}, expected bitnet, llama, qwen3 or gemma3", printable(model.architecture)));
  }
  return *at;
}

bool has_bias(const gguf::File& file, std::string_view of) {
  return std::any_of(file.tensors().begin(), file.tensors().end(), [&](const gguf::TensorInfo& t) {
    return t.name.ends_with(".bias") && t.name.find(of) != std::string::npos;
  });
}

std::optional<uint32_t> pooling_of(const bn_arch& arch) {
  if ((arch.must & BN_M_NO_HEAD) == 0) return std::nullopt;
  switch (arch.pooling) {
    case BN_POOL_MEAN:
      return checkpoint::kPoolingMean;
    case BN_POOL_FIRST:
      return checkpoint::kPoolingFirst;
    case BN_POOL_LAST:
      return checkpoint::kPoolingLast;
    default:
      refuse_checkpoint(
          "its pooling_type is 0, a row for every token and no vector of the text, which the files beside checkpoints cannot "
          "say");
  }
}

}  // namespace

void refuse_checkpoint(const std::string& what) {
  fail(ErrorKind::kUsage, "this model cannot be written as a checkpoint: {}", what);
}

CheckpointConfig checkpoint_config(const model::Config& model, const gguf::File& file) {
  const bn_arch& a = model.arch;
  const Family& family = family_of(model);
  if ((a.must & ~kOptionalParts) != family.parts) {
    refuse_checkpoint(fmt::format("its graph has other parts than configurations of {} ask for", family.architecture));
  }
  if (a.rope_dim != a.head_dim) refuse_checkpoint(fmt::format("{} of {} dimensions are rotated", a.rope_dim, a.head_dim));
  if (file.find_tensor("rope_freqs.weight") != nullptr) refuse_checkpoint("it has the tensor rope_freqs.weight");
  CheckpointConfig out;
  checkpoint::HfConfig& c = out.config;
  c.architecture = family.architecture;
  c.n_layers = a.n_layers;
  c.n_embd = a.n_embd;
  c.n_ff = a.n_ff;
  c.n_heads = a.n_heads;
  c.n_kv_heads = a.n_kv_heads;
  c.head_dim = a.head_dim;
  c.n_vocab = a.n_vocab;
  c.head = (a.must & BN_M_NO_HEAD) == 0;
  c.tied = !c.head || (a.must & BN_M_TIED_HEAD) != 0;
  c.sub_norms = c.architecture == "bitnet";
  c.pairs = c.architecture == "llama";
  c.in_norms = (a.must & BN_M_IN_NORMS) != 0;
  c.qk_norms = (a.must & BN_M_QK_NORM) != 0;
  c.post_norms = c.gains_less_one = c.architecture == "gemma3";
  c.attention_biases = has_bias(file, ".attn_");
  c.mlp_biases = has_bias(file, ".ffn_");
  if (!c.head) c.prefix.clear();
  out.numbers = {a.n_ctx_max, static_cast<double>(a.norm_eps), a.rope_base, model.rope_scale, a.act == BN_ACT_RELU2};
  out.pooling = pooling_of(a);
  return out;
}

std::string config_difference(const model::Config& before, const model::Config& after) {
  const bn_arch &a = before.arch, &b = after.arch;
  const struct {
    const char* name;
    double before, after;
  } numbers[] = {
      {"n_layers", static_cast<double>(a.n_layers), static_cast<double>(b.n_layers)},
      {"context_length", static_cast<double>(a.n_ctx_max), static_cast<double>(b.n_ctx_max)},
      {"rms_norm_eps", static_cast<double>(a.norm_eps), static_cast<double>(b.norm_eps)},
      {"rope_theta", a.rope_base, b.rope_base},
      {"the factor of rope_scaling", before.rope_scale, after.rope_scale},
      {"the order of rotated pairs", static_cast<double>(a.rope_kind), static_cast<double>(b.rope_kind)},
      {"the activation function", static_cast<double>(a.act), static_cast<double>(b.act)},
      {"the set of parts", static_cast<double>(a.must), static_cast<double>(b.must)},
      {"pooling", static_cast<double>(a.pooling), static_cast<double>(b.pooling)},
      {"the scale of attention", static_cast<double>(a.attn_scale), static_cast<double>(b.attn_scale)},
      {"the scale of embeddings", static_cast<double>(a.embd_scale), static_cast<double>(b.embd_scale)},
  };
  for (const auto& n : numbers) {
    if (n.before != n.after) return fmt::format("{} would be {}, not {}", n.name, n.after, n.before);
  }
  return {};
}

}  // namespace bitnet::convert
