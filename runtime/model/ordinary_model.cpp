// model/ordinary_model.cpp - looks at the types of the matrices.
#include "model/ordinary_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "gguf/ternary_formats.h"

namespace bitnet::model {

std::string ordinary_model_text(const gguf::File& file) {
  const auto is_ternary = [](const gguf::TensorInfo& t) { return gguf::ternary_scale_kind(*t.type).has_value(); };
  if (std::any_of(file.tensors().begin(), file.tensors().end(), is_ternary)) return {};
  const auto matrix = std::find_if(file.tensors().begin(), file.tensors().end(),
                                   [](const gguf::TensorInfo& t) { return t.name.starts_with("blk.0.") && t.n_dims == 2; });
  if (matrix == file.tensors().end()) return {};
  return fmt::format(
      "no ternary model: its matrices are {}, expected I2_S, TL1, TL2, TQ1_0, TQ2_0, Q2_0, Q1_0, IQ1_BN, IQ2_BN or IQ2_BN_R4; "
      "a program for models of all kinds, such as llama.cpp, may run it",
      matrix->type->name);
}

}  // namespace bitnet::model
