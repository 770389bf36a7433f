// model/weights.h - the tensors of a model by role, checked against its hyper-parameters.
//
// Memory  matrices stay where they lie in the mapped file; only scales and norms stored as f16/bf16 are copied (kilobytes).
// Errors  TensorSetError listing every missing, unexpected and misshapen tensor and every norm that is not finite; else
//         Error{kInvalidModel} naming tensor and index of a code 3 or of a scale that is not finite.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/scores.h"
#include "bitnet/model.h"
#include "gguf/format_error.h"
#include "gguf/ternary_formats.h"
#include "model/config.h"

namespace bitnet::model {

using Gain = std::vector<float>;  // [n]

// A ternary matrix of a block. tensor.format says how its data lies: bn.i2s128 in place when the file has it that way, else
// bn.t2 with data null: then rows come from read_t2().
struct Matrix {
  const gguf::TensorInfo* source = nullptr;
  bn_tensor tensor{};         // [rows, cols]
  std::vector<float> scales;  // what tensor.scales points to: one, or one per row
  Gain norm_in;               // [cols], the matrix's own norm of its input; empty where the family has none
  Gain bias;                  // [rows], added to its result; mostly empty
  gguf::TernaryOptions reading;

  bool in_place() const { return tensor.data != nullptr; }
  // Rows [row0, row1) in layout bn.t2, (cols+3)/4 bytes each. Any thread.
  void read_t2(uint32_t row0, uint32_t row1, uint8_t* dst) const;
};

// Norms that the family does not have are empty.
struct Layer {
  Gain attn_norm, attn_sub_norm, ffn_norm, ffn_sub_norm;
  Gain attn_q_norm, attn_k_norm;       // [head_dim], of every head
  Gain post_attn_norm, post_ffn_norm;  // [n_embd], of what the residual stream gets
  Matrix attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down;
};

// What the user says about a file that the file itself does not.
struct ReadOptions {
  bool check_tensors = false;  // also scan embeddings and head for NaN and infinity
  gguf::I2sLayout i2s_layout = gguf::I2sLayout::kX86;
  std::string kernel_config;  // path of a file with tile parameters for TL1 and TL2; empty: the built-in ones
};

struct Weights {
  bn_tensor token_embd{};           // [n_vocab, n_embd]
  bn_tensor output{};               // [n_vocab, n_embd]; the embeddings when the head is tied; empty without a head
  Gain output_norm;                 // [n_embd]
  std::vector<float> rope_factors;  // [rope_dim/2], empty: none
  std::vector<Layer> layers;
  std::string quantization;   // type of the block matrices, "I2_S", for messages
  uint64_t matrix_bytes = 0;  // of the block matrices, as stored
  uint64_t head_bytes = 0;    // of the output head, as stored
  // How ambiguous bytes of the matrices were read: the I2_S layout unless x86, the tiles of TL1 and TL2. Two readings of one
  // file are two models.
  std::string reading;
  std::vector<std::string> warnings;             // doubts about that, one line each
  std::shared_ptr<const gguf::TileTable> tiles;  // of the kernel configuration, which the matrices refer to
};

// One tensor that is missing, unexpected, or not what the keys ask for.
struct TensorFault {
  gguf::Fault fault;
  std::string tensor, text;
};

// Error{kInvalidModel} with all that is wrong with the set of tensors; its sentence tells the first of them.
class TensorSetError : public Error {
 public:
  TensorSetError(std::vector<TensorFault> faults, const std::string& message)
      : Error(ErrorKind::kInvalidModel, message), faults_(std::move(faults)) {}
  const std::vector<TensorFault>& faults() const noexcept { return faults_; }

 private:
  std::vector<TensorFault> faults_;
};

// The ternary matrices of the model by shape and layout, in the order of their first appearance.
std::vector<backend::MatrixShape> matrix_shapes(const Weights& weights);

// Error{kUsage} when the kernel configuration cannot be read.
Weights read_weights(const gguf::File& file, const Config& config, const ReadOptions& options = {});

}  // namespace bitnet::model
