// bench/synthetic_model.cpp - keys, the list of tensors, and their contents.
#include "synthetic_model.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "gguf/ternary_encoder.h"
#include "gguf/writer.h"
#include "random_weights.h"
#include "synthetic_vocabulary.h"

namespace bitnet::bench {
namespace {

using gguf::Type;

enum class Content { kGain, kDense, kTernary };

struct Tensor {
  std::string name;
  Content content;
  uint64_t columns, rows;
};

std::vector<Tensor> list_tensors(const Shape& s) {
  const uint64_t q = uint64_t{s.n_heads} * s.head_dim, kv = uint64_t{s.n_kv_heads} * s.head_dim;
  std::vector<Tensor> list = {{"token_embd.weight", Content::kDense, s.n_embd, s.n_vocab}};
  if (!s.is_bitnet() && !s.is_embedding()) list.push_back({"output.weight", Content::kDense, s.n_embd, s.n_vocab});
  list.push_back({"output_norm.weight", Content::kGain, s.n_embd, 1});
  for (uint32_t n = 0; n < s.n_layers; ++n) {
    const auto add = [&](const char* name, Content content, uint64_t columns, uint64_t rows) {
      list.push_back({fmt::format("blk.{}.{}.weight", n, name), content, columns, rows});
    };
    add("attn_norm", Content::kGain, s.n_embd, 1);
    add("attn_q", Content::kTernary, s.n_embd, q);
    add("attn_k", Content::kTernary, s.n_embd, kv);
    add("attn_v", Content::kTernary, s.n_embd, kv);
    if (s.is_bitnet()) add("attn_sub_norm", Content::kGain, q, 1);
    add("attn_output", Content::kTernary, q, s.n_embd);
    add("ffn_norm", Content::kGain, s.n_embd, 1);
    add("ffn_gate", Content::kTernary, s.n_embd, s.n_ff);
    add("ffn_up", Content::kTernary, s.n_embd, s.n_ff);
    if (s.is_bitnet()) add("ffn_sub_norm", Content::kGain, s.n_ff, 1);
    add("ffn_down", Content::kTernary, s.n_ff, s.n_embd);
    if (!s.is_embedding()) continue;
    for (const char* name : {"attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up", "attn_output", "ffn_down"}) {
      const std::string_view which = name;
      const uint64_t columns = which == "attn_output" ? q : which == "ffn_down" ? s.n_ff : s.n_embd;
      list.push_back({fmt::format("blk.{}.{}_norm_in.weight", n, name), Content::kGain, columns, 1});
    }
    add("attn_q_norm", Content::kGain, s.head_dim, 1);
    add("attn_k_norm", Content::kGain, s.head_dim, 1);
    if (s.is_gemma()) add("post_attention_norm", Content::kGain, s.n_embd, 1);
    if (s.is_gemma()) add("post_ffw_norm", Content::kGain, s.n_embd, 1);
  }
  return list;
}

class ModelWriter {
 public:
  ModelWriter(const SyntheticModel& model, const std::string& path)
      : model_(model), tensors_(list_tensors(model.shape)), writer_(path) {}

  uint64_t run() {
    add_keys();
    add_tokenizer();
    for (const Tensor& tensor : tensors_) {
      writer_.add_tensor(tensor.name, type_of(tensor), {tensor.columns, tensor.rows});
      if (&tensor == &tensors_.front() && model_.gap != 0) writer_.add_gap(model_.gap);
    }
    for (const Tensor& tensor : tensors_) write(tensor);
    return writer_.finish();
  }

 private:
  Type type_of(const Tensor& tensor) const {
    return tensor.content == Content::kGain ? Type::kF32 : tensor.content == Content::kDense ? model_.head : model_.ternary;
  }

  void add_keys() {
    const Shape& s = model_.shape;
    writer_.add_string("general.architecture", s.architecture);
    writer_.add_string("general.name", fmt::format("synthetic {} (seed {})", s.name, model_.seed));
    const auto key = [&](const char* name) { return fmt::format("{}.{}", s.architecture, name); };
    writer_.add_key<uint32_t>(key("vocab_size"), s.n_vocab);
    writer_.add_key<uint32_t>(key("context_length"), s.n_ctx);
    writer_.add_key<uint32_t>(key("embedding_length"), s.n_embd);
    writer_.add_key<uint32_t>(key("block_count"), s.n_layers);
    writer_.add_key<uint32_t>(key("feed_forward_length"), s.n_ff);
    writer_.add_key<uint32_t>(key("rope.dimension_count"), s.head_dim);
    writer_.add_key<uint32_t>(key("attention.head_count"), s.n_heads);
    writer_.add_key<uint32_t>(key("attention.head_count_kv"), s.n_kv_heads);
    writer_.add_key<uint32_t>(key("attention.key_length"), s.head_dim);
    writer_.add_key<uint32_t>(key("attention.value_length"), s.head_dim);
    writer_.add_key<float>(key("attention.layer_norm_rms_epsilon"), s.norm_eps);
    writer_.add_key<float>(key("rope.freq_base"), s.rope_base);
    if (s.is_embedding()) writer_.add_key<uint32_t>(key("pooling_type"), 1);  // as the published converter writes
    writer_.add_key<uint32_t>("general.quantization_version", 2);
  }

  void add_tokenizer() {
    const SyntheticVocabulary v = make_vocabulary(model_.shape.n_vocab);
    writer_.add_string("tokenizer.ggml.model", "gpt2");
    writer_.add_string("tokenizer.ggml.pre", "llama-bpe");
    writer_.add_string_array("tokenizer.ggml.tokens", v.tokens);
    writer_.add_array<int32_t>("tokenizer.ggml.token_type", v.types);
    writer_.add_string_array("tokenizer.ggml.merges", v.merges);
    writer_.add_key<uint32_t>("tokenizer.ggml.bos_token_id", v.bos);
    writer_.add_key<uint32_t>("tokenizer.ggml.eos_token_id", v.eos);
    writer_.add_key<uint32_t>("tokenizer.ggml.eot_token_id", v.eot);
    writer_.add_key<bool>("tokenizer.ggml.add_bos_token", true);
    if (model_.shape.is_embedding()) writer_.add_key<bool>("tokenizer.ggml.add_eos_token", true);
  }

  void write(const Tensor& tensor) {
    Random random(model_.seed, tensor.name);
    switch (tensor.content) {
      case Content::kGain:
        return write_gain(tensor, random);
      case Content::kDense:
        return write_dense(tensor, random);
      case Content::kTernary:
        return write_ternary(tensor, random);
    }
  }

  void write_gain(const Tensor& tensor, Random& random) {
    std::vector<float> gain(tensor.columns);
    for (float& g : gain) g = 1.0f + 0.1f * random.normal();
    writer_.write(gain.data(), 4 * gain.size());
  }

  // Logits are products of such a row with a vector of n_embd numbers of about 1.
  void write_dense(const Tensor& tensor, Random& random) {
    const float deviation = 1.0f / std::sqrt(static_cast<float>(tensor.columns));
    std::vector<float> row(tensor.columns);
    bytes_.resize(4 * tensor.columns);  // no format takes more
    for (uint64_t r = 0; r < tensor.rows; ++r) {
      for (float& x : row) x = deviation * random.normal();
      writer_.write(bytes_.data(), pack_floats(model_.head, row.data(), row.size(), bytes_.data()));
    }
  }

  // Two of three weights are not zero, so with this scale inputs of about 1 give outputs of about 1.
  void write_ternary(const Tensor& tensor, Random& random) {
    const float deviation = 1.0f / std::sqrt(static_cast<float>(tensor.columns) * (2.0f / 3.0f));
    const float scale = f16_value(deviation * (0.8f + 0.4f * random.uniform()));
    const gguf::TernaryEncoder encoder(gguf::type_info(model_.ternary), tensor.name, {tensor.columns, tensor.rows, 1, 1});
    const uint64_t rows = encoder.granule();
    const std::vector<float> scales(rows, scale);
    const bool zero = model_.memoryless && tensor.name.ends_with("attn_output.weight");
    trits_.resize(rows * tensor.columns);
    for (uint64_t r = 0; r < tensor.rows; r += rows) {
      draw_trits(random, rows * tensor.columns, trits_.data());
      if (zero) std::fill(trits_.begin(), trits_.end(), int8_t{0});
      write_granule(encoder, scales, r);
    }
    const std::vector<uint8_t> tail = encoder.tail(scale);
    if (!tail.empty()) writer_.write_at(encoder.tail_offset(), tail.data(), tail.size());
  }

  void write_granule(const gguf::TernaryEncoder& encoder, const std::vector<float>& scales, uint64_t row0) {
    const auto parts = encoder.parts();
    std::vector<uint8_t*> pieces;
    uint64_t bytes = 0;
    for (const auto& part : parts) bytes += part.granule_bytes;
    bytes_.resize(bytes);
    for (uint64_t at = 0, i = 0; i < parts.size(); at += parts[i++].granule_bytes) pieces.push_back(bytes_.data() + at);
    encoder.encode(trits_.data(), scales.data(), encoder.granule(), pieces.data());
    for (size_t i = 0; i < parts.size(); ++i) {
      writer_.write_at(parts[i].offset + encoder.piece_offset(i, row0), pieces[i], parts[i].granule_bytes);
    }
  }

  const SyntheticModel& model_;
  const std::vector<Tensor> tensors_;
  gguf::Writer writer_;
  std::vector<int8_t> trits_;
  std::vector<uint8_t> bytes_;
};

void check(const SyntheticModel& model) {
  const auto refuse = [&](const std::string& what, const std::string& why) {
    fail(ErrorKind::kUsage, "shape {} with {}: {}; choose another format", model.shape.name, what, why);
  };
  const gguf::TypeInfo &ternary = gguf::type_info(model.ternary), &head = gguf::type_info(model.head);
  if (!gguf::TernaryEncoder::writes(ternary)) refuse(ternary.name, "it is not a ternary format that is written here");
  if (!can_pack_floats(model.head)) refuse(head.name, "only F32, F16, BF16, Q8_0 and Q6_K are written");
  for (const Tensor& tensor : list_tensors(model.shape)) {
    if (tensor.content == Content::kGain) continue;
    const gguf::TypeInfo& type = tensor.content == Content::kDense ? head : ternary;
    std::string why;
    if (!gguf::tensor_bytes(type, {tensor.columns, tensor.rows, 1, 1}, &why)) refuse(type.name, tensor.name + ": " + why);
  }
}

}  // namespace

uint64_t parameter_count(const Shape& shape) {
  uint64_t count = 0;
  for (const Tensor& tensor : list_tensors(shape)) count += tensor.columns * tensor.rows;
  return count;
}

uint64_t write_model(const SyntheticModel& model, const std::string& path) {
  check(model);
  return ModelWriter(model, path).run();
}

}  // namespace bitnet::bench
