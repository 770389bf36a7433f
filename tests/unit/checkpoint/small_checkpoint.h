// small_checkpoint.h - the smallest model of the llama family as a checkpoint in memory, to be spoilt by the tests of faults.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "support/files.h"
#include "support/temp_folder.h"

namespace bitnet::checkpoint_test {

using nlohmann::json;

struct Stored {
  std::string dtype;
  std::vector<uint64_t> shape;
  std::string data;
};

inline std::string f32_bytes(std::vector<float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

struct SmallCheckpoint {
  json config = {{"model_type", "llama"},
                 {"vocab_size", 4},
                 {"hidden_size", 8},
                 {"intermediate_size", 8},
                 {"num_hidden_layers", 1},
                 {"num_attention_heads", 2},
                 {"max_position_embeddings", 16},
                 {"tie_word_embeddings", true},
                 {"quantization_config", {{"quant_method", "bitnet"}}}};
  std::map<std::string, Stored> tensors;

  SmallCheckpoint() {
    tensors["model.embed_tokens.weight"] = {"F32", {4, 8}, f32_bytes(std::vector<float>(32, 0.5f))};
    for (const char* norm : {"model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"}) {
      tensors[std::string(norm) + ".weight"] = {"F32", {8}, f32_bytes(std::vector<float>(8, 1.0f))};
    }
    for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
                             "mlp.up_proj", "mlp.down_proj"}) {
      const std::string stem = std::string("model.layers.0.") + name;
      tensors[stem + ".weight"] = {"U8", {2, 8}, std::string(16, '\x64')};  // codes 0, 1, 2, 1
      tensors[stem + ".weight_scale"] = {"F32", {1}, f32_bytes({2.0f})};
    }
  }

  json header() const {
    json out = {{"__metadata__", {{"format", "pt"}}}};
    uint64_t at = 0;
    for (const auto& [name, t] : tensors) {
      out[name] = {{"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {at, at + t.data.size()}}};
      at += t.data.size();
    }
    return out;
  }
  std::string data() const {
    std::string all;
    for (const auto& [name, t] : tensors) all += t.data;
    return all;
  }
};

inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const uint64_t bytes = header.size();
  return std::string(reinterpret_cast<const char*>(&bytes), 8) + header + data;
}

// Writes config.json and model.safetensors.
inline void write(const test::TempFolder& folder, const SmallCheckpoint& c) {
  test::write_text(folder / "config.json", c.config.dump());
  test::write_text(folder / "model.safetensors", safetensors_bytes(c.header().dump(), c.data()));
}

// The message with which opening the folder fails; the test fails when it does not.
inline std::string error_of_opening(const std::string& path) {
  try {
    checkpoint::open_checkpoint(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidModel) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << "a message is one line: " << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

struct Fault {
  const char* name;
  std::function<void(SmallCheckpoint&)> spoil;
  std::vector<const char*> words;  // in the message
};

inline void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

}  // namespace bitnet::checkpoint_test
