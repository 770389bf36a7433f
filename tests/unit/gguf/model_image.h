// unit/gguf/model_image.h - builds the bytes of a small valid model from a table that tests change, one fault at a time.
//
// Written without the project's writer, so that a mistake made in reader and writer alike is seen.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet::gguf::test {

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

inline void put_string(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out.append(text);
}

template <class T>
std::string raw(T value) {
  std::string out;
  put(out, value);
  return out;
}

inline std::string raw_string(std::string_view text) {
  std::string out;
  put_string(out, text);
  return out;
}

inline std::string raw_array(uint32_t element_type, uint64_t count, std::string_view elements) {
  return raw(element_type) + raw(count) + std::string(elements);
}

struct ImageKey {
  std::string name;
  uint32_t type;
  std::string value;                         // as stored behind the type
  std::optional<uint64_t> name_length = {};  // stored instead of the true length
};

struct ImageTensor {
  std::string name;
  std::vector<uint64_t> extents;
  uint32_t type_id;
  uint64_t bytes;  // of data
  std::optional<uint64_t> offset = {};
  std::optional<uint32_t> n_dims = {};
};

struct ModelImage {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> n_tensors;
  std::optional<uint64_t> n_keys;
  uint64_t alignment = 32;
  std::vector<ImageKey> keys;
  std::vector<ImageTensor> tensors;
  uint64_t gap_before_last = 0;  // bytes left free in front of the last tensor
  uint64_t trailing = 0;         // bytes behind the last tensor

  ImageKey& key(std::string_view name) {
    for (ImageKey& entry : keys) {
      if (entry.name == name) return entry;
    }
    return keys.emplace_back(ImageKey{std::string(name), 4, raw<uint32_t>(0)});
  }
  ImageTensor& tensor(std::string_view name) {
    for (ImageTensor& entry : tensors) {
      if (entry.name == name) return entry;
    }
    return tensors.emplace_back(ImageTensor{std::string(name), {1}, 0, 4});
  }

  uint64_t round_up(uint64_t value) const { return (value + alignment - 1) / alignment * alignment; }

  std::string build() const {
    std::string out = magic;
    put(out, version);
    put<uint64_t>(out, n_tensors.value_or(tensors.size()));
    put<uint64_t>(out, n_keys.value_or(keys.size()));
    for (const ImageKey& entry : keys) {
      put<uint64_t>(out, entry.name_length.value_or(entry.name.size()));
      out += entry.name;
      put(out, entry.type);
      out += entry.value;
    }
    uint64_t offset = 0;
    for (const ImageTensor& tensor : tensors) {
      if (&tensor == &tensors.back()) offset += gap_before_last;
      put_string(out, tensor.name);
      put<uint32_t>(out, tensor.n_dims.value_or(static_cast<uint32_t>(tensor.extents.size())));
      for (const uint64_t extent : tensor.extents) put(out, extent);
      put(out, tensor.type_id);
      put(out, tensor.offset.value_or(offset));
      offset += round_up(tensor.bytes);
    }
    if (tensors.empty()) return out + std::string(trailing, '\0');
    return out + std::string(round_up(out.size()) - out.size() + offset + trailing, '\0');
  }
};

// A valid model of about 4 KB: every kind of key, and tensors of seven types.
inline ModelImage valid_image() {
  ModelImage image;
  std::string tokens;
  std::string merges;
  for (const char* token : {"<s>", "</s>", "a", "b", "ab",
                            "\xC4\xA0"
                            "ab"})
    put_string(tokens, token);
  for (const char* merge : {"a b", "\xC4\xA0 ab"}) put_string(merges, merge);
  std::string scores;
  std::string types;
  for (int i = 0; i < 6; ++i) put(scores, -0.5f * static_cast<float>(i));
  for (int i = 0; i < 6; ++i) put<int32_t>(types, i < 2 ? 3 : 1);
  image.keys = {
      {"general.architecture", 8, raw_string("llama")},
      {"general.name", 8, raw_string("a small valid model")},
      {"general.quantization_version", 4, raw<uint32_t>(2)},
      {"llama.block_count", 4, raw<uint32_t>(1)},
      {"llama.rope.freq_base", 6, raw<float>(10000.0f)},
      {"test.u8", 0, raw<uint8_t>(200)},
      {"test.i16", 3, raw<int16_t>(-7)},
      {"test.u64", 10, raw<uint64_t>(uint64_t{1} << 40)},
      {"test.f64", 12, raw<double>(0.1)},
      {"test.bools", 9, raw_array(7, 3, std::string_view("\1\0\1", 3))},
      {"tokenizer.ggml.model", 8, raw_string("gpt2")},
      {"tokenizer.ggml.add_bos_token", 7, raw<uint8_t>(1)},
      {"tokenizer.ggml.tokens", 9, raw_array(8, 6, tokens)},
      {"tokenizer.ggml.scores", 9, raw_array(6, 6, scores)},
      {"tokenizer.ggml.token_type", 9, raw_array(5, 6, types)},
      {"tokenizer.ggml.merges", 9, raw_array(8, 2, merges)},
  };
  image.tensors = {
      {"token_embd.weight", {256, 2}, 1, 1024},    {"output_norm.weight", {16}, 0, 64},
      {"blk.0.attn_q.weight", {128, 4}, 36, 160},  {"blk.0.attn_k.weight", {256, 2}, 35, 132},
      {"blk.0.attn_v.weight", {256, 2}, 34, 108},  {"blk.0.ffn_up.weight", {64, 4}, 135, 80},
      {"blk.0.ffn_down.weight", {64, 8}, 42, 144}, {"output.weight", {64, 2}, 8, 136},
  };
  return image;
}

}  // namespace bitnet::gguf::test
