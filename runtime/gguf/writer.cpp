// gguf/writer.cpp - lays out keys, tensor descriptions and data, and publishes the finished file by rename.
#include "gguf/writer.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "gguf/checked.h"

namespace bitnet::gguf {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are stored as they lie in memory");

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void append_string(std::string& out, std::string_view text) {
  append<uint64_t>(out, text.size());
  out.append(text);
}

}  // namespace

Writer::Writer(const std::string& path, uint32_t alignment)
    : path_(path), partial_path_(fmt::format("{}.{}.partial", path, ::getpid())), alignment_(alignment) {
  if (!std::has_single_bit(alignment) || alignment < kMinAlignment) {
    fail(ErrorKind::kFailure, "{}: alignment {} is no power of two of at least {}", printable(path_), alignment, kMinAlignment);
  }
  file_.reset(std::fopen(partial_path_.c_str(), "wbx"));
  if (!file_) fail_io("create");
}

Writer::~Writer() {
  if (!file_) return;
  file_.reset();
  ::unlink(partial_path_.c_str());
}

void Writer::begin_key(std::string_view key, ValueType type) {
  if (data_start_ != 0) fail(ErrorKind::kFailure, "{}: key '{}' added after the first data", printable(path_), printable(key));
  if (key.empty() || key.size() > kMaxKeyBytes || n_keys_ == kMaxKeys || !key_names_.emplace(key).second) {
    fail(ErrorKind::kFailure, "{}: key '{}' is empty, too long, given twice, or over the limit of {} keys", printable(path_),
         printable(key), kMaxKeys);
  }
  append_string(keys_, key);
  append(keys_, static_cast<uint32_t>(type));
  ++n_keys_;
}

void Writer::add_raw_key(std::string_view key, ValueType type, const void* value, uint64_t bytes) {
  begin_key(key, type);
  keys_.append(static_cast<const char*>(value), bytes);
}

void Writer::add_raw_array(std::string_view key, ValueType type, const void* values, uint64_t count, uint64_t element_bytes) {
  begin_key(key, ValueType::kArray);
  append(keys_, static_cast<uint32_t>(type));
  append<uint64_t>(keys_, count);
  if (count != 0) keys_.append(static_cast<const char*>(values), count * element_bytes);
}

void Writer::add_string(std::string_view key, std::string_view value) {
  begin_key(key, ValueType::kString);
  append_string(keys_, value);
}

void Writer::add_string_array(std::string_view key, std::span<const std::string_view> values) {
  begin_key(key, ValueType::kArray);
  append(keys_, static_cast<uint32_t>(ValueType::kString));
  append<uint64_t>(keys_, values.size());
  for (const std::string_view value : values) append_string(keys_, value);
}

void Writer::add_string_array(std::string_view key, std::span<const std::string> values) {
  const std::vector<std::string_view> views(values.begin(), values.end());
  add_string_array(key, std::span(views));
}

uint64_t Writer::add_tensor(std::string_view name, Type type, std::initializer_list<uint64_t> extents) {
  return add_tensor(name, type_info(type), std::span(extents.begin(), extents.size()));
}

uint64_t Writer::add_tensor(std::string_view name, const TypeInfo& type, std::span<const uint64_t> extents) {
  const auto refuse = [&](std::string_view why) {
    fail(ErrorKind::kFailure, "{}: tensor '{}': {}", printable(path_), printable(name), why);
  };
  if (data_start_ != 0) refuse("added after the first data");
  if (name.empty() || name.size() > kMaxTensorNameBytes) refuse("its name is empty or too long");
  if (extents.empty() || extents.size() > kMaxDimensions) refuse("1 to 4 dimensions expected");
  if (tensors_.size() == kMaxTensors) refuse("too many tensors");
  if (!tensor_names_.emplace(name).second) refuse("declared twice");
  Extents shape{1, 1, 1, 1};
  std::copy(extents.begin(), extents.end(), shape.begin());
  std::string why;
  const std::optional<uint64_t> bytes = tensor_bytes(type, shape, &why);
  if (!bytes) refuse(fmt::format("{}: {}", type.name, why));
  tensors_.push_back({std::string(name), type.id, {extents.begin(), extents.end()}, data_bytes_, *bytes});
  uint64_t padded = 0;
  if (!checked_round_up(*bytes, alignment_, padded) || !checked_add(data_bytes_, padded, data_bytes_)) refuse("too large");
  return *bytes;
}

void Writer::add_gap(uint64_t bytes) {
  uint64_t padded = 0;
  if (data_start_ != 0 || !checked_round_up(bytes, alignment_, padded) || !checked_add(data_bytes_, padded, data_bytes_)) {
    fail(ErrorKind::kFailure, "{}: a gap of {} bytes is too large or comes after the first data", printable(path_), bytes);
  }
}

void Writer::add_copy(const KeyValue& entry) {
  begin_key(entry.key, entry.type);
  if (entry.type == ValueType::kString) {
    append<uint64_t>(keys_, entry.bytes);
  } else if (entry.type == ValueType::kArray) {
    append(keys_, static_cast<uint32_t>(entry.element_type));
    append<uint64_t>(keys_, entry.count);
  }
  keys_.append(reinterpret_cast<const char*>(entry.data), entry.bytes);
}

void Writer::begin_data() {
  if (alignment_ != kDefaultAlignment && !key_names_.contains("general.alignment")) {
    add_key<uint32_t>("general.alignment", alignment_);
  }
  std::string head = "GGUF";
  append<uint32_t>(head, 3);
  append<uint64_t>(head, tensors_.size());
  append<uint64_t>(head, n_keys_);
  head += keys_;
  for (const Tensor& tensor : tensors_) {
    append_string(head, tensor.name);
    append(head, static_cast<uint32_t>(tensor.extents.size()));
    for (const uint64_t extent : tensor.extents) append(head, extent);
    append(head, tensor.type_id);
    append(head, tensor.offset);
  }
  if (!tensors_.empty()) head.resize((head.size() + alignment_ - 1) & ~uint64_t{alignment_ - 1}, '\0');
  put(head.data(), head.size());
  data_start_ = head.size();
}

void Writer::require_room(uint64_t bytes) const {
  if (current_ < tensors_.size() && bytes <= tensors_[current_].bytes - done_) return;
  fail(ErrorKind::kFailure, "{}: more bytes than tensor '{}' has", printable(path_),
       current_ == tensors_.size() ? "(past the last)" : printable(tensors_[current_].name));
}

void Writer::write(const void* data, uint64_t bytes) {
  if (data_start_ == 0) begin_data();
  require_room(bytes);
  put(data, bytes);
  advance(bytes);
}

void Writer::skip(uint64_t bytes) {
  if (data_start_ == 0) begin_data();
  require_room(bytes);
  seek(data_start_ + tensors_[current_].offset + done_ + bytes);
  advance(bytes);
}

void Writer::write_at(uint64_t offset, const void* data, uint64_t bytes) {
  if (data_start_ == 0) begin_data();
  require_room(bytes);
  const Tensor& tensor = tensors_[current_];
  if (offset > tensor.bytes || bytes > tensor.bytes - offset) {
    fail(ErrorKind::kFailure, "{}: {} bytes at {} are not in tensor '{}' of {} bytes", printable(path_), bytes, offset,
         printable(tensor.name), tensor.bytes);
  }
  seek(data_start_ + tensor.offset + offset);
  put(data, bytes);
  scattered_ = true;
  advance(bytes);
}

void Writer::advance(uint64_t bytes) {
  done_ += bytes;
  if (done_ < tensors_[current_].bytes) return;
  const uint64_t end = tensors_[current_].offset + tensors_[current_].bytes;
  ++current_;
  done_ = 0;
  const uint64_t next = current_ == tensors_.size() ? data_bytes_ : tensors_[current_].offset;
  if (next != end || scattered_) seek(data_start_ + next);
  scattered_ = false;
}

uint64_t Writer::finish() {
  const uint64_t size = complete();
  publish();
  return size;
}

uint64_t Writer::complete(bool sync) {
  if (data_start_ == 0) begin_data();
  if (current_ != tensors_.size()) {
    fail(ErrorKind::kFailure, "{}: tensor '{}' has {} of {} bytes", printable(path_), printable(tensors_[current_].name), done_,
         tensors_[current_].bytes);
  }
  const uint64_t size = data_start_ + data_bytes_;
  if (std::fflush(file_.get()) != 0) fail_io("write");
  if (::ftruncate(::fileno(file_.get()), static_cast<off_t>(size)) != 0) fail_io("resize");
  if (sync && ::fsync(::fileno(file_.get())) != 0) fail_io("sync");
  return size;
}

void Writer::publish() {
  if (std::rename(partial_path_.c_str(), path_.c_str()) != 0) fail_io("rename");
  file_.reset();
}

void Writer::put(const void* data, uint64_t bytes) {
  if (bytes != 0 && std::fwrite(data, 1, bytes, file_.get()) != bytes) fail_io("write");
}

void Writer::seek(uint64_t position) {
  if (::fseeko(file_.get(), static_cast<off_t>(position), SEEK_SET) != 0) fail_io("seek in");
}

void Writer::fail_io(const char* what) const {
  const int code = errno;
  fail(ErrorKind::kFailure, "{}: cannot {} it: {}", printable(partial_path_), what, std::generic_category().message(code));
}

}  // namespace bitnet::gguf
