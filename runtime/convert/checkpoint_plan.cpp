// convert/checkpoint_plan.cpp - a place for every tensor, and the checks that nothing is lost on the way.
#include "convert/checkpoint_plan.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "convert/checkpoint_config.h"
#include "gguf/float_formats.h"

namespace bitnet::convert {
namespace {

using checkpoint::Place;
using checkpoint::Role;

class CheckpointPlanner {
 public:
  CheckpointPlanner(const Source& source, const checkpoint::HfConfig& config) : source_(source), config_(config) {}

  std::vector<CheckpointTensor> run() {
    std::set<std::string> used;
    for (const Place& place : checkpoint::places(config_)) {
      const gguf::TensorInfo* tensor = source_.file().find_tensor(place.name);
      if (tensor == nullptr && place.role == Role::kBias) {
        refuse_checkpoint(
            fmt::format("{} is missing; in each layer they have biases of all of attn_q, attn_k, attn_v and "
                        "attn_output or of none, and likewise of ffn_gate, ffn_up and ffn_down",
                        place.name));
      }
      if (tensor == nullptr) fail(ErrorKind::kInvalidModel, "tensor {} is missing", place.name);
      const size_t at = static_cast<size_t>(tensor - source_.tensors().data());
      used.insert({place.name, scale_name(place.name)});
      if (tensor->columns() != place.cols || tensor->rows() != place.rows) {
        fail(ErrorKind::kInvalidModel, "tensor {} is {{{}, {}}}, expected {{{}, {}}}", place.name, tensor->columns(),
             tensor->rows(), place.cols, place.rows);
      }
      if (place.role == Role::kMatrix) {
        plan_matrix(place, at);
      } else {
        plan_numbers(place, at);
      }
    }
    for (const gguf::TensorInfo& tensor : source_.tensors()) {
      if (!used.contains(tensor.name)) refuse_checkpoint(fmt::format("tensor {} has no place in one", printable(tensor.name)));
    }
    return std::move(planned_);
  }

 private:
  void plan_matrix(const Place& place, size_t at) {
    if (!Source::is_ternary(source_.tensor(at))) refuse_checkpoint(fmt::format("{} is not ternary", place.name));
    const uint64_t quarter = (place.rows + 3) / 4;
    planned_.push_back(
        {place.candidates[0], "U8", {quarter, place.cols}, quarter * place.cols, at, Role::kMatrix, place.pairs});
    CheckpointTensor scale{place.candidates[0] + "_scale", "F32", {1}, 4, at};
    scale.only_scale = one_scale(at);
    planned_.push_back(std::move(scale));
  }

  void plan_numbers(const Place& place, size_t at) {
    const gguf::TypeInfo& type = *source_.tensor(at).type;
    CheckpointTensor p{place.candidates[0], type.name, {place.rows, place.cols}, source_.tensor(at).bytes, at, place.role};
    if (place.role != Role::kDense) p.shape = {place.cols};
    p.less_one = place.less_one;
    p.pairs = place.pairs;
    if (p.less_one) check_less_one(at);
    const bool plain = type.type == gguf::Type::kF32 || type.type == gguf::Type::kF16 || type.type == gguf::Type::kBF16;
    if (!plain || p.less_one || p.pairs) {
      p.convert = true;
      p.dtype = "F32";
      p.bytes = place.rows * place.cols * 4;
    }
    planned_.push_back(std::move(p));
  }

  // Gains that are stored less 1 have to come back.
  void check_less_one(size_t at) const {
    const gguf::TensorInfo& tensor = source_.tensor(at);
    std::vector<float> values(tensor.columns());
    gguf::dequantize_rows(tensor, 0, 1, values.data());
    for (const float value : values) {
      const float stored = value - 1.0f, back = stored + 1.0f;
      if (back == value) continue;
      refuse_checkpoint(fmt::format("{} has the gain {}; stored less 1, as checkpoints of gemma3 have it, it would be {}",
                                    printable(tensor.name), value, back));
    }
  }

  // The scale that all rows with a weight other than 0 share, times the tensor .scale.
  float one_scale(size_t at) const {
    const gguf::TensorInfo& tensor = source_.tensor(at);
    std::vector<float> scales(tensor.rows());
    source_.read_scales(at, 0, tensor.rows(), scales.data());
    std::vector<int8_t> trits(tensor.columns());
    float common = 0;
    for (uint64_t row = 0; row < tensor.rows(); ++row) {
      if (scales[row] == common || scales[row] == 0) continue;
      source_.read_trits(at, row, row + 1, trits.data());
      if (std::all_of(trits.begin(), trits.end(), [](int8_t t) { return t == 0; })) continue;
      if (common != 0) {
        refuse_checkpoint(
            fmt::format("{} has several scales ({} and {} in row {})", printable(tensor.name), common, scales[row], row));
      }
      common = scales[row];
    }
    float factor = 1;
    if (const gguf::TensorInfo* beside = source_.file().find_tensor(scale_name(tensor.name))) {
      gguf::dequantize_rows(*beside, 0, 1, &factor);
    }
    const float scale = common == 0 ? 1.0f : common * factor;
    if (!(scale > 0)) refuse_checkpoint(fmt::format("{} has the scale {}", printable(tensor.name), scale));
    if (common != 0 && static_cast<double>(common) * static_cast<double>(factor) != static_cast<double>(scale)) {
      refuse_checkpoint(fmt::format("{} has the scale {} times {}, which one number in f32 does not hold",
                                    printable(tensor.name), common, factor));
    }
    return scale;
  }

  const Source& source_;
  const checkpoint::HfConfig& config_;
  std::vector<CheckpointTensor> planned_;
};

}  // namespace

std::vector<CheckpointTensor> plan_checkpoint(const Source& source, const checkpoint::HfConfig& config) {
  return CheckpointPlanner(source, config).run();
}

}  // namespace bitnet::convert
