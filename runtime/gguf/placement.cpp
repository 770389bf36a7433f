// gguf/placement.cpp - finds out what each tensor's type id means in this file, how large it is, and that nothing overlaps.
//
// A type id with two meanings is decided by the space the tensor takes: the meaning whose padded size is exactly the distance
// to the next offset. Where the space is larger (a gap, bytes behind the last tensor), a meaning that another tensor of the
// same id showed is taken; without one the file is refused.
#include <algorithm>
#include <map>
#include <numeric>

#include "gguf/checked.h"
#include "gguf/format_error.h"
#include "gguf/limits.h"
#include "gguf/parse.h"

namespace bitnet::gguf {
namespace {

enum class Fit { kNone, kLoose, kExact };

struct Candidate {
  const TypeInfo* type;
  uint64_t bytes;  // 0: the shape does not suit the type
  Fit fit;
};

class Placement {
 public:
  Placement(std::string_view label, std::span<const uint8_t> bytes, OpenOptions options, Contents& contents)
      : label_(label), bytes_(bytes), options_(options), contents_(contents), tensors_(contents.tensors) {}

  void run() {
    start_data_section();
    sort_by_offset();
    for (size_t k = 0; k < order_.size(); ++k) collect_candidates(k);
    for (size_t k = 0; k < order_.size(); ++k) choose(k);
    check_coverage();
    report_gaps_and_order();
    report_end();
    for (TensorInfo& tensor : tensors_) {
      tensor.offset += contents_.data_start;
      if (tensor.offset + tensor.bytes <= bytes_.size()) tensor.data = bytes_.data() + tensor.offset;
    }
  }

 private:
  template <class... Args>
  [[noreturn]] void refuse(Fault fault, const TensorInfo& tensor, fmt::format_string<Args...> format, Args&&... args) const {
    FaultPlace place{tensor.name, contents_.data_start + tensor.offset, {}, {}, bytes_.size()};
    if (tensor.bytes != 0) place.size = tensor.bytes;
    if (fault == Fault::kTensorAlignment) place.expected = contents_.alignment;
    fail_format(fault, std::move(place), "{}: tensor '{}': {}", printable(label_), printable(tensor.name),
                fmt::format(format, std::forward<Args>(args)...));
  }

  void start_data_section() {
    contents_.data_start = contents_.needed_bytes = contents_.header_bytes;
    if (tensors_.empty()) return;
    // Cannot wrap: the header lies inside the mapping, the alignment has 32 bits.
    contents_.data_start = (contents_.header_bytes + contents_.alignment - 1) & ~uint64_t{contents_.alignment - 1};
  }

  void sort_by_offset() {
    for (const TensorInfo& tensor : tensors_) {
      if (tensor.offset % contents_.alignment != 0) {
        refuse(Fault::kTensorAlignment, tensor, "data offset {} is no multiple of the alignment {}", tensor.offset,
               contents_.alignment);
      }
      uint64_t start = 0;
      if (!checked_add(contents_.data_start, tensor.offset, start))
        refuse(Fault::kTensorOutOfBounds, tensor, "data offset {} is impossible", tensor.offset);
    }
    order_.resize(tensors_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return tensors_[a].offset < tensors_[b].offset; });
  }

  bool is_last(size_t k) const { return k + 1 == order_.size(); }

  // Bytes from the tensor's start to the next tensor's, or to the end of the file.
  uint64_t space(size_t k) const {
    const uint64_t offset = tensors_[order_[k]].offset;
    if (!is_last(k)) return tensors_[order_[k + 1]].offset - offset;
    const uint64_t start = contents_.data_start + offset;
    return start < bytes_.size() ? bytes_.size() - start : 0;
  }

  void collect_candidates(size_t k) {
    const TensorInfo& tensor = tensors_[order_[k]];
    std::vector<Candidate> candidates;
    for (const TypeInfo* type : types_with_id(tensor.type_id)) {
      const uint64_t bytes = tensor_bytes(*type, tensor.extents).value_or(0);
      uint64_t padded = 0;
      Fit fit = Fit::kNone;
      if (bytes != 0 && checked_round_up(bytes, contents_.alignment, padded)) {
        const uint64_t room = space(k);
        if (room > padded) fit = Fit::kLoose;
        if (room == padded || (is_last(k) && room >= bytes && room <= padded)) fit = Fit::kExact;
      }
      if (fit == Fit::kExact && type->cls != TypeClass::kRetired) shown_.emplace(tensor.type_id, type);
      candidates.push_back({type, bytes, fit});
    }
    candidates_.push_back(std::move(candidates));
  }

  void choose(size_t k) {
    TensorInfo& tensor = tensors_[order_[k]];
    const std::vector<Candidate>& candidates = candidates_[k];
    if (candidates.empty())
      refuse(Fault::kUnsupportedQuantization, tensor, "type id {} is unknown", static_cast<int32_t>(tensor.type_id));
    const Candidate* chosen = nullptr;
    size_t n_exact = 0;
    for (const Candidate& candidate : candidates) {
      if (candidate.fit != Fit::kExact) continue;
      ++n_exact;
      chosen = &candidate;
    }
    if (n_exact > 1)
      refuse(Fault::kUnsupportedQuantization, tensor, "type id {} is ambiguous: {}", tensor.type_id, list(candidates, k));
    if (n_exact == 0) chosen = choose_inexact(k);
    if (chosen->type->cls == TypeClass::kRetired) {
      refuse(Fault::kUnsupportedQuantization, tensor,
             "type id {} ({}) is retired; convert the model again with a current program", tensor.type_id, chosen->type->name);
    }
    tensor.type = chosen->type;
    tensor.bytes = chosen->bytes;
  }

  // The candidate to take when none fits the space exactly: the only one that is possible, or the one that another tensor of
  // the same id has shown. Throws when that leaves none, or one that does not fit at all.
  const Candidate* choose_inexact(size_t k) const {
    const TensorInfo& tensor = tensors_[order_[k]];
    const std::vector<Candidate>& candidates = candidates_[k];
    const auto retired = [](const Candidate& c) { return c.type->cls == TypeClass::kRetired; };
    if (std::all_of(candidates.begin(), candidates.end(), retired)) return &candidates.front();
    const auto possible = [&](const Candidate& c) { return !retired(c) && c.bytes != 0; };
    const bool only_one = std::count_if(candidates.begin(), candidates.end(), possible) == 1;
    const auto shown = shown_.find(tensor.type_id);
    for (const Candidate& candidate : candidates) {
      if (!possible(candidate)) continue;
      const bool sure = only_one || (shown != shown_.end() && shown->second == candidate.type);
      if (sure && (candidate.fit == Fit::kLoose || is_last(k))) return &candidate;
    }
    if (candidates.size() > 1)
      refuse(Fault::kUnsupportedQuantization, tensor, "type id {} fits no known type: {}", tensor.type_id, list(candidates, k));
    std::string why;
    const auto bytes = tensor_bytes(*candidates[0].type, tensor.extents, &why);
    if (!bytes) refuse(Fault::kDimensionMismatch, tensor, "type {}: {}", candidates[0].type->name, why);
    refuse(Fault::kTensorOverlap, tensor, "its {} bytes at data offset {} overlap tensor '{}' at {}", *bytes, tensor.offset,
           printable(tensors_[order_[k + 1]].name), tensors_[order_[k + 1]].offset);
  }

  std::string list(const std::vector<Candidate>& candidates, size_t k) const {
    std::string text;
    for (const Candidate& candidate : candidates) {
      std::string why;
      const auto bytes = tensor_bytes(*candidate.type, tensors_[order_[k]].extents, &why);
      text += bytes ? fmt::format("{} takes {} bytes, ", candidate.type->name, *bytes)
                    : fmt::format("{} is impossible ({}), ", candidate.type->name, why);
    }
    return text + fmt::format("found {} bytes up to the {}", space(k), is_last(k) ? "end of the file" : "next tensor");
  }

  void check_coverage() {
    uint64_t packed_end = 0;  // where the tensors before end, relative to the data section
    for (const size_t index : order_) {
      const TensorInfo& tensor = tensors_[index];
      uint64_t end = 0;
      uint64_t padded_end = 0;
      if (!checked_add(tensor.offset, tensor.bytes, end) || !checked_round_up(end, contents_.alignment, padded_end) ||
          !checked_add(contents_.data_start, end, end)) {
        refuse(Fault::kTensorOutOfBounds, tensor, "data offset {} with {} bytes is impossible", tensor.offset, tensor.bytes);
      }
      if (end > bytes_.size() && tensor.offset > packed_end) {
        refuse(Fault::kTensorOutOfBounds, tensor, "data offset {} with {} bytes lies beyond the end of the file ({} bytes)",
               tensor.offset, tensor.bytes, bytes_.size());
      }
      packed_end = padded_end;
      contents_.needed_bytes = std::max(contents_.needed_bytes, end);
    }
    if (contents_.needed_bytes <= bytes_.size()) return;
    const std::string message = fmt::format("file is cut: {} of {} bytes", bytes_.size(), contents_.needed_bytes);
    if (!options_.allow_cut_data) {
      fail_format(Fault::kTruncatedFile, {{}, {}, {}, contents_.needed_bytes, bytes_.size()}, "{}: {}; fetch the file again",
                  printable(label_), message);
    }
    contents_.warnings.push_back(message);
  }

  void report_gaps_and_order() {
    uint64_t gap_bytes = 0;
    size_t n_gaps = 0;
    const TensorInfo* first = nullptr;
    uint64_t expected = 0;
    for (const size_t index : order_) {
      const TensorInfo& tensor = tensors_[index];
      if (tensor.offset > expected) {
        gap_bytes += tensor.offset - expected;
        if (n_gaps++ == 0) first = &tensor;
      }
      expected = (tensor.offset + tensor.bytes + contents_.alignment - 1) & ~uint64_t{contents_.alignment - 1};
    }
    if (n_gaps != 0) {
      contents_.warnings.push_back(
          fmt::format("{} gap(s) of together {} bytes in the tensor data, the first before tensor '{}'", n_gaps, gap_bytes,
                      printable(first->name)));
    }
    const auto unsorted = std::is_sorted_until(order_.begin(), order_.end());
    if (unsorted != order_.end()) {
      contents_.warnings.push_back(
          fmt::format("unusual order: the data of tensor '{}' comes after that of a tensor described later",
                      printable(tensors_[*unsorted].name)));
    }
  }

  void report_end() {
    if (contents_.needed_bytes > bytes_.size()) return;  // cut
    const uint64_t padded = (contents_.needed_bytes + contents_.alignment - 1) & ~uint64_t{contents_.alignment - 1};
    if (bytes_.size() > padded) {
      contents_.warnings.push_back(fmt::format("{} bytes behind the last tensor are not used", bytes_.size() - padded));
    }
  }

  std::string_view label_;
  std::span<const uint8_t> bytes_;
  OpenOptions options_;
  Contents& contents_;
  std::vector<TensorInfo>& tensors_;
  std::vector<size_t> order_;                       // tensors by offset
  std::vector<std::vector<Candidate>> candidates_;  // of the k-th tensor by offset
  std::map<uint32_t, const TypeInfo*> shown_;       // what an id means, as tensors that fit exactly have shown
};

}  // namespace

void place_tensors(std::string_view label, std::span<const uint8_t> bytes, OpenOptions options, Contents& contents) {
  Placement(label, bytes, options, contents).run();
}

}  // namespace bitnet::gguf
