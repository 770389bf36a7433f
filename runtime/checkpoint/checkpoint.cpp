// checkpoint/checkpoint.cpp - gives every stored tensor its place, type and scale.
#include "checkpoint/checkpoint.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "bitnet/kit/arithmetic.hpp"
#include "checkpoint/chat_template_file.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "checkpoint/safetensors.h"
#include "gguf/checkpoint_rows.h"
#include "gguf/float_formats.h"
#include "gguf/key_values.h"

namespace bitnet::checkpoint {
namespace {

namespace fs = std::filesystem;

// Where the parts of a checkpoint lie.
struct Files {
  std::string folder, config, weights;
};

Files find_files(const std::string& path) {
  Files files;
  const bool is_folder = fs::is_directory(path);
  const fs::path folder = is_folder ? fs::path(path) : fs::path(path).parent_path();
  files.folder = folder.empty() ? "." : folder.string();
  files.config = (folder / "config.json").string();
  if (!is_folder) {
    files.weights = path;
  } else if (fs::exists(folder / kIndexFile)) {
    files.weights = (folder / kIndexFile).string();
  } else if (fs::exists(folder / kWeightsFile)) {
    files.weights = (folder / kWeightsFile).string();
  } else {
    fail(ErrorKind::kInvalidModel, "{}: not a regular file; a folder is a model only with {} or {} in it", printable(path),
         kWeightsFile, kIndexFile);
  }
  if (!fs::exists(files.config)) {
    fail(ErrorKind::kInvalidModel, "{}: config.json is missing beside it; a checkpoint is read with its configuration",
         printable(files.weights));
  }
  return files;
}

// Keeps alive what keys and copied tensors point to.
struct Owned {
  gguf::KeyValues keys;
  std::deque<std::vector<uint64_t>> copies;  // 8-byte aligned
};

const gguf::TypeInfo& number_type(Dtype dtype) {
  return gguf::type_info(dtype == Dtype::kF32 ? gguf::Type::kF32 : dtype == Dtype::kF16 ? gguf::Type::kF16 : gguf::Type::kBF16);
}

const gguf::TypeInfo& master_type(Dtype dtype) {
  return *gguf::checkpoint_type(dtype == Dtype::kF32   ? gguf::Type::kMasterF32
                                : dtype == Dtype::kF16 ? gguf::Type::kMasterF16
                                                       : gguf::Type::kMasterBF16);
}

// A weight_scale: one number in floating point.
float read_scale(const StoredTensor& tensor) {
  if (tensor.dtype == Dtype::kU8 || tensor.elements() != 1) {
    fail(ErrorKind::kInvalidModel, "{}: tensor {} is {} {}, expected one number", printable(tensor.file),
         printable(tensor.name), dtype_name(tensor.dtype), tensor.shape_text());
  }
  float value = 0;
  uint16_t half = 0;
  if (tensor.dtype == Dtype::kF32) {
    std::memcpy(&value, tensor.data, 4);
  } else {
    std::memcpy(&half, tensor.data, 2);
    value = tensor.dtype == Dtype::kF16 ? bn::kit::f16_to_f32(half) : bn::kit::bf16_to_f32(half);
  }
  if (!(std::isfinite(value) && value > 0)) {
    fail(ErrorKind::kInvalidModel, "{}: tensor {} is {}, expected a positive number", printable(tensor.file),
         printable(tensor.name), value);
  }
  return value;
}

class Opening {
 public:
  Opening(const Files& files, const std::string& name) : files_(files), owned_(std::make_shared<Owned>()) {
    config_ = read_hf_config(files.config, name, owned_->keys);
    if (const auto text = read_chat_template(files.folder)) owned_->keys.add_string("tokenizer.chat_template", *text);
    stored_ = read_safetensors(files.weights);
    for (const StoredTensor& tensor : stored_.tensors) by_name_.emplace(tensor.name, &tensor);
    read_names();
    contents_.warnings = config_.warnings;
  }

  gguf::Contents contents() {
    for (const Place& place : places(config_)) put(place);
    if ((config_.tied || !config_.head) && by_name_.erase("lm_head.weight") != 0) {
      contents_.warnings.push_back(config_.head ? "tie_word_embeddings is true: lm_head.weight is not used"
                                                : "an embedding model: lm_head.weight is not used");
    }
    refuse_leftovers();
    tbb::parallel_for(size_t{0}, masters_.size(), [&](size_t i) {
      gguf::TensorInfo& tensor = contents_.tensors[masters_[i]];
      tensor.scale = gguf::master_scale(tensor);
    });
    contents_.keys = owned_->keys.entries();
    for (size_t i = 0; i < contents_.keys.size(); ++i) contents_.key_index.emplace(contents_.keys[i].key, i);
    for (size_t i = 0; i < contents_.tensors.size(); ++i) contents_.tensor_index.emplace(contents_.tensors[i].name, i);
    return std::move(contents_);
  }

  std::vector<std::unique_ptr<const MappedFile>> maps() { return std::move(stored_.maps); }
  std::shared_ptr<const void> owned() { return owned_; }

 private:
  // What the names of tensors tell beyond the configuration.
  void read_names() {
    if (!by_name_.contains("model.embed_tokens.weight") && by_name_.contains("embed_tokens.weight")) config_.prefix.clear();
    for (const char* ending : {"rms_norm.weight", "norm.weight"}) {
      config_.in_norms |= by_name_.contains(fmt::format("{}layers.0.self_attn.q_proj.{}", config_.prefix, ending));
    }
    if (config_.in_norms_needed && !config_.in_norms) {
      fail(ErrorKind::kInvalidModel,
           "{}: a {} model without quantization_config.quant_method \"bitnet\" and without norms in front of its matrices is "
           "not ternary; nothing here can run it",
           printable(files_.config), config_.architecture);
    }
  }

  // The tensor of one of these names, no longer counted among the rest; null when there is none.
  const StoredTensor* take(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (const auto at = by_name_.find(name); at != by_name_.end()) {
        const StoredTensor* tensor = at->second;
        by_name_.erase(at);
        return tensor;
      }
    }
    return nullptr;
  }

  void expect_shape(const StoredTensor& tensor, const std::vector<uint64_t>& shape) const {
    if (tensor.shape == shape) return;
    fail(ErrorKind::kInvalidModel, "{}: tensor {} is {}, expected [{}] from {}", printable(tensor.file), printable(tensor.name),
         tensor.shape_text(), fmt::join(shape, ", "), printable(files_.config));
  }

  void put(const Place& place) {
    const StoredTensor* tensor = take(place.candidates);
    if (tensor == nullptr) {
      fail(ErrorKind::kInvalidModel, "{}: tensor {} is missing", printable(files_.weights),
           fmt::join(place.candidates, " or "));
    }
    gguf::TensorInfo info;
    info.name = place.name;
    const bool flat = place.role == Role::kGain || place.role == Role::kBias;
    info.n_dims = flat ? 1 : 2;
    info.extents = {place.cols, place.rows, 1, 1};
    info.bytes = tensor->bytes;
    if (place.role == Role::kMatrix) {
      put_matrix(place, *tensor, info);
    } else {
      if (tensor->dtype == Dtype::kU8) refuse_dtype(*tensor, "F32, F16 or BF16");
      expect_shape(*tensor, flat ? std::vector<uint64_t>{place.cols} : std::vector<uint64_t>{place.rows, place.cols});
      info.type = &number_type(tensor->dtype);
    }
    info.data = aligned(*tensor);
    if (place.less_one || (flat && place.pairs)) rewrite(place, info);
    info.type_id = info.type->id;
    contents_.tensors.push_back(std::move(info));
  }

  // Numbers that GGUF files hold otherwise: gains with their 1, biases in the order of their matrix's rows. In f32.
  void rewrite(const Place& place, gguf::TensorInfo& info) {
    std::vector<float> stored(place.cols), values(place.cols);
    gguf::dequantize_rows(info, 0, 1, stored.data());
    for (uint64_t i = 0; i < place.cols; ++i) {
      values[i] = stored[place.pairs ? gguf::halves_row(i, config_.head_dim) : i] + (place.less_one ? 1.0f : 0.0f);
    }
    std::vector<uint64_t>& copy = owned_->copies.emplace_back((place.cols + 1) / 2);
    std::memcpy(copy.data(), values.data(), values.size() * sizeof(float));
    info.type = &number_type(Dtype::kF32);
    info.bytes = values.size() * sizeof(float);
    info.data = reinterpret_cast<const uint8_t*>(copy.data());
  }

  void put_matrix(const Place& place, const StoredTensor& tensor, gguf::TensorInfo& info) {
    std::string scale_name = tensor.name + "_scale";
    const StoredTensor* scale = take({scale_name});
    info.rotated_pairs = place.pairs ? config_.head_dim : 0;
    if (tensor.dtype == Dtype::kU8) {
      expect_shape(tensor, {(place.rows + 3) / 4, place.cols});
      if (scale == nullptr) {
        fail(ErrorKind::kInvalidModel, "{}: tensor {} is packed, but {} is missing", printable(tensor.file),
             printable(tensor.name), printable(scale_name));
      }
      info.type = gguf::checkpoint_type(gguf::Type::kPackedRows);
      info.scale = config_.inverse_scales ? 1.0f / read_scale(*scale) : read_scale(*scale);
      return;
    }
    expect_shape(tensor, {place.rows, place.cols});
    if (scale != nullptr) refuse_dtype(tensor, "U8, as it has a weight_scale");
    if (!config_.master_allowed) refuse_dtype(tensor, "U8");
    info.type = &master_type(tensor.dtype);
    masters_.push_back(contents_.tensors.size());
  }

  [[noreturn]] void refuse_dtype(const StoredTensor& tensor, const char* expected) const {
    fail(ErrorKind::kInvalidModel, "{}: tensor {} is {}, expected {}", printable(tensor.file), printable(tensor.name),
         dtype_name(tensor.dtype), expected);
  }

  // Kernels and readers load numbers at multiples of their size. Writers pad the header, so a copy is rarely needed.
  const uint8_t* aligned(const StoredTensor& tensor) {
    if (reinterpret_cast<uintptr_t>(tensor.data) % dtype_bytes(tensor.dtype) == 0) return tensor.data;
    std::vector<uint64_t>& copy = owned_->copies.emplace_back((tensor.bytes + 7) / 8);
    std::memcpy(copy.data(), tensor.data, tensor.bytes);
    return reinterpret_cast<const uint8_t*>(copy.data());
  }

  void refuse_leftovers() const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : by_name_) {
      if (!is_unused(name)) names.push_back(printable(name));
    }
    if (names.empty()) return;
    const size_t all = names.size();
    names.resize(std::min<size_t>(all, 6));
    fail(ErrorKind::kInvalidModel, "{}: {} tensors have no place in a model of architecture {}: {}{}",
         printable(files_.weights), all, config_.architecture, fmt::join(names, ", "), all > names.size() ? ", ..." : "");
  }

  const Files& files_;
  std::shared_ptr<Owned> owned_;
  HfConfig config_;
  StoredTensors stored_;
  std::map<std::string, const StoredTensor*> by_name_;  // not placed yet
  std::vector<size_t> masters_;                         // indices of contents_.tensors
  gguf::Contents contents_;
};

// What the model is called: the folder's own name.
std::string model_name(const std::string& folder) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(folder, error);
  return printable(error ? folder : whole.filename().string());
}

}  // namespace

bool is_checkpoint(const std::string& path) {
  std::error_code error;
  return path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json") || fs::is_directory(path, error);
}

gguf::File open_checkpoint(const std::string& path) {
  const Files files = find_files(path);
  Opening opening(files, model_name(files.folder));
  gguf::Contents contents = opening.contents();
  return gguf::File(path, std::move(contents), opening.maps(), opening.owned());
}

}  // namespace bitnet::checkpoint
