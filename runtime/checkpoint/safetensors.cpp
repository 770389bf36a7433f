// checkpoint/safetensors.cpp - header, entries, shards.
#include "checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_input.h"

namespace bitnet::checkpoint {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr uint64_t kMaxHeaderBytes = 100'000'000, kMaxIndexBytes = uint64_t{16} << 20;
constexpr size_t kMaxTensors = 65536, kMaxShards = 1024, kMaxExtents = 4, kMaxNameBytes = 512;

template <class... Args>
[[noreturn]] void refuse(const std::string& path, fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::kInvalidModel, "{}: {}", printable(path), fmt::format(format, std::forward<Args>(args)...));
}

struct DtypeRow {
  const char* name;
  Dtype dtype;
  uint32_t bytes;
};
constexpr DtypeRow kDtypes[] = {
    {"U8", Dtype::kU8, 1}, {"F16", Dtype::kF16, 2}, {"BF16", Dtype::kBF16, 2}, {"F32", Dtype::kF32, 4}};

const DtypeRow& row_of(Dtype dtype) { return kDtypes[static_cast<size_t>(dtype)]; }

// One file; its tensors' places are checked against its data section.
class Reader {
 public:
  explicit Reader(const MappedFile& file) : file_(file) {}

  std::vector<StoredTensor> read() {
    const json header = read_header();
    std::vector<StoredTensor> tensors;
    for (const auto& [name, entry] : header.items()) {
      if (name != "__metadata__") tensors.push_back(read_entry(name, entry));
    }
    if (tensors.size() > kMaxTensors) refuse(file_.path(), "{} tensors, at most {} are read", tensors.size(), kMaxTensors);
    refuse_overlaps(tensors);
    return tensors;
  }

 private:
  json read_header() {
    uint64_t bytes = 0;
    if (file_.size() < 8) refuse(file_.path(), "{} bytes, too short for a safetensors file", file_.size());
    std::memcpy(&bytes, file_.data(), 8);
    if (bytes > std::min(kMaxHeaderBytes, file_.size() - 8)) {
      refuse(file_.path(), "the safetensors header is said to be {} bytes long, but {} follow and at most {} are read", bytes,
             file_.size() - 8, kMaxHeaderBytes);
    }
    data_ = file_.data() + 8 + bytes;
    data_bytes_ = file_.size() - 8 - bytes;
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + 8, bytes);
    json header = parse_json(text, {file_.path(), ErrorKind::kInvalidModel, kMaxDepth, kMaxHeaderBytes});
    if (!header.is_object()) refuse(file_.path(), "the safetensors header is no JSON object");
    return header;
  }

  StoredTensor read_entry(const std::string& name, const json& entry) {
    const std::string shown = printable(name);
    if (name.empty() || name.size() > kMaxNameBytes) refuse(file_.path(), "a tensor name of {} bytes", name.size());
    if (!entry.is_object()) refuse(file_.path(), "tensor {}: its entry is no JSON object", shown);
    StoredTensor tensor;
    tensor.name = name;
    tensor.file = file_.path();
    tensor.dtype = read_dtype(shown, entry);
    uint64_t elements = 1;
    for (const uint64_t extent : numbers(shown, entry, "shape")) {
      tensor.shape.push_back(extent);
      if (__builtin_mul_overflow(elements, extent, &elements)) refuse(file_.path(), "tensor {}: its shape overflows", shown);
    }
    if (tensor.shape.size() > kMaxExtents) refuse(file_.path(), "tensor {}: {} extents", shown, tensor.shape.size());
    if (__builtin_mul_overflow(elements, dtype_bytes(tensor.dtype), &tensor.bytes)) {
      refuse(file_.path(), "tensor {}: its shape overflows", shown);
    }
    const std::vector<uint64_t> range = numbers(shown, entry, "data_offsets");
    if (range.size() != 2 || range[0] > range[1] || range[1] > data_bytes_) {
      refuse(file_.path(), "tensor {}: data_offsets {}, expected [begin, end] within the {} bytes of data; is the file cut?",
             shown, printable(entry["data_offsets"].dump()), data_bytes_);
    }
    if (range[1] - range[0] != tensor.bytes) {
      refuse(file_.path(), "tensor {}: {} bytes of data, but {} {} take {}", shown, range[1] - range[0],
             dtype_name(tensor.dtype), tensor.shape_text(), tensor.bytes);
    }
    tensor.data = data_ + range[0];
    return tensor;
  }

  Dtype read_dtype(const std::string& shown, const json& entry) {
    const auto found = entry.find("dtype");
    if (found == entry.end() || !found->is_string()) refuse(file_.path(), "tensor {}: no dtype", shown);
    for (const DtypeRow& row : kDtypes) {
      if (*found == row.name) return row.dtype;
    }
    refuse(file_.path(), "tensor {}: dtype {}, expected U8, BF16, F16 or F32", shown,
           printable(found->get_ref<const std::string&>()));
  }

  std::vector<uint64_t> numbers(const std::string& shown, const json& entry, const char* field) {
    const auto found = entry.find(field);
    if (found == entry.end() || !found->is_array()) refuse(file_.path(), "tensor {}: no {}", shown, field);
    std::vector<uint64_t> values;
    for (const json& value : *found) {
      if (!value.is_number_unsigned()) refuse(file_.path(), "tensor {}: {} holds {}", shown, field, printable(value.dump()));
      values.push_back(value.get<uint64_t>());
    }
    return values;
  }

  void refuse_overlaps(const std::vector<StoredTensor>& tensors) {
    std::vector<const StoredTensor*> by_place;
    for (const StoredTensor& tensor : tensors) {
      if (tensor.bytes != 0) by_place.push_back(&tensor);
    }
    std::sort(by_place.begin(), by_place.end(), [](const auto* a, const auto* b) { return a->data < b->data; });
    for (size_t i = 1; i < by_place.size(); ++i) {
      if (by_place[i]->data < by_place[i - 1]->data + by_place[i - 1]->bytes) {
        refuse(file_.path(), "tensors {} and {} overlap", printable(by_place[i - 1]->name), printable(by_place[i]->name));
      }
    }
  }

  const MappedFile& file_;
  const uint8_t* data_ = nullptr;
  uint64_t data_bytes_ = 0;
};

// {tensor name: shard} of an index.
std::map<std::string, std::string> read_index(const std::string& path) {
  const json index = read_json(path, kMaxIndexBytes);
  const auto found = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || found == index.end() || !found->is_object()) refuse(path, "no object weight_map");
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : found->items()) {
    if (!shard.is_string()) refuse(path, "weight_map of {} is no file name", printable(name));
    const std::string& file = shard.get_ref<const std::string&>();
    if (file.empty() || file.find('/') != file.npos || file.find('\0') != file.npos || file == "." || file == "..") {
      refuse(path, "weight_map of {} names '{}', expected the name of a file beside the index", printable(name),
             printable(file));
    }
    shards.emplace(name, file);
  }
  return shards;
}

void add_file(const std::string& path, StoredTensors& out) {
  out.maps.push_back(std::make_unique<MappedFile>(path));
  std::vector<StoredTensor> tensors = Reader(*out.maps.back()).read();
  std::move(tensors.begin(), tensors.end(), std::back_inserter(out.tensors));
}

void add_shards(const std::string& index_path, StoredTensors& out) {
  const std::map<std::string, std::string> shards = read_index(index_path);
  std::vector<std::string> files;
  for (const auto& [name, file] : shards) files.push_back(file);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  if (files.empty() || files.size() > kMaxShards) refuse(index_path, "{} shards, expected 1 to {}", files.size(), kMaxShards);
  const std::filesystem::path folder = std::filesystem::path(index_path).parent_path();
  for (const std::string& file : files) add_file((folder / file).string(), out);
  std::map<std::string, std::string> found;
  for (const StoredTensor& t : out.tensors) {
    if (!found.emplace(t.name, t.file).second) refuse(t.file, "tensor {} is in another shard too", printable(t.name));
  }
  for (const auto& [name, file] : shards) {
    const auto at = found.find(name);
    if (at == found.end()) refuse(index_path, "tensor {} is in no shard", printable(name));
    if (at->second != (folder / file).string()) refuse(index_path, "tensor {} is not in {}", printable(name), printable(file));
  }
}

}  // namespace

json read_json(const std::string& path, uint64_t max_bytes) {
  const MappedFile file(path);
  if (file.size() == 0) refuse(path, "empty, expected JSON");
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  return parse_json(text, {path, ErrorKind::kInvalidModel, kMaxDepth, max_bytes});
}

const char* dtype_name(Dtype dtype) { return row_of(dtype).name; }
uint32_t dtype_bytes(Dtype dtype) { return row_of(dtype).bytes; }

std::string StoredTensor::shape_text() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

StoredTensors read_safetensors(const std::string& path) {
  StoredTensors out;
  if (path.ends_with(".json")) {
    add_shards(path, out);
  } else {
    add_file(path, out);
  }
  std::sort(out.tensors.begin(), out.tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

}  // namespace bitnet::checkpoint
