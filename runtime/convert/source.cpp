// convert/source.cpp - keys, rows and bytes of an opened model file.
#include "convert/source.h"

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "tokenizer/to_gguf.h"
#include "tokenizer/tokenizer.h"

namespace bitnet::convert {

std::string scale_name(const std::string& weight_name) {
  constexpr std::string_view kEnd = ".weight";
  if (!weight_name.ends_with(kEnd)) return {};
  return weight_name.substr(0, weight_name.size() - kEnd.size()) + ".scale";
}

Source::Source(const std::string& path, const gguf::TernaryOptions& reading)
    : file_(checkpoint::is_checkpoint(path) ? checkpoint::open_checkpoint(path) : gguf::File(path)),
      reading_(reading),
      beside_scale_(reading) {
  beside_scale_.unit_scale_is_right = true;
  for (const gguf::TensorInfo& t : file_.tensors()) {
    const std::string scale = scale_name(t.name);
    has_scale_.push_back(!scale.empty() && file_.find_tensor(scale) != nullptr);
  }
}

void Source::read_tokenizer() {
  if (file_.version() != 0) return;  // it is among the keys
  tokenizer_file_ = find_tokenizer_beside(file_.path());
  if (!tokenizer_file_.empty()) tokenizer_ = tokenizer_keys(tokenizer_file_, &file_);
}

uint32_t Source::alignment() const {
  return file_.alignment() != 0 ? file_.alignment() : gguf::kDefaultAlignment;  // a checkpoint has none
}

bool Source::is_plain(size_t i) const {
  return tensor(i).type->type != gguf::Type::kI2_S || reading_.i2s_layout == gguf::I2sLayout::kX86;
}

void Source::add_keys(gguf::Writer& writer, uint32_t file_type) const {
  constexpr std::string_view kFileType = "general.file_type";
  for (const gguf::KeyValue& entry : file_.keys()) {
    if (entry.key == kFileType) {
      writer.add_key<uint32_t>(kFileType, file_type);
    } else {
      writer.add_copy(entry);
    }
  }
  for (const gguf::KeyValue& entry : tokenizer_.entries()) writer.add_copy(entry);
  if (file_.find(kFileType) == nullptr) writer.add_key<uint32_t>(kFileType, file_type);
}

void Source::read_trits(size_t i, uint64_t row0, uint64_t row1, int8_t* trits) const {
  gguf::decode_rows(tensor(i), row0, row1, trits, reading(i));
}

void Source::read_scales(size_t i, uint64_t row0, uint64_t row1, float* scales) const {
  gguf::row_scales(tensor(i), row0, row1, scales, reading(i));
}

void Source::read_bytes(size_t i, uint64_t offset, uint64_t n, void* dst) const { file_.copy(tensor(i).data + offset, n, dst); }

void Source::release(size_t i) const { file_.release(tensor(i).data, tensor(i).bytes); }

}  // namespace bitnet::convert
