// validate/validate.cpp - the five steps.
#include "validate/validate.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "gguf/parse.h"
#include "gguf/ternary_formats.h"
#include "model/config.h"
#include "model/weights.h"
#include "tokenizer/tokenizer.h"

namespace bitnet::validate {
namespace {

using gguf::Fault;
using gguf::FormatError;

constexpr size_t kMostFindings = 1000;  // of each kind of list; a file with more is beyond telling

class Validation {
 public:
  Validation(const std::string& path, const Options& options) : options_(options) {
    report_.file = path;
    if (!options.reading.kernel_config.empty()) tiles_ = gguf::read_kernel_config(options.reading.kernel_config);
    report_.strict = options.strict;
  }

  Report run() {
    begin(Step::kHeader);
    if (!open()) return std::move(report_);
    report_.header_valid = true;
    begin(Step::kMetadata);
    check_metadata();
    begin(Step::kTensors);
    for (const std::string& warning : file_->warnings()) warn("Layout", {}, warning);
    check_tensors();
    begin(Step::kBitnet);
    check_bitnet();
    begin(Step::kCrossReferences);
    check_cross_references();
    return std::move(report_);
  }

 private:
  void begin(Step step) {
    step_ = step;
    report_.done.push_back(step);
  }

  void add(std::vector<Finding>& list, std::string_view kind, gguf::FaultPlace place, std::string message) {
    if (list.size() < kMostFindings) list.push_back({std::string(kind), step_, std::move(place), std::move(message)});
  }
  void warn(std::string_view kind, gguf::FaultPlace place, std::string message) {
    add(report_.warnings, kind, std::move(place), std::move(message));
  }
  void blame(std::string_view kind, gguf::FaultPlace place, std::string message) {
    add(report_.errors, kind, std::move(place), std::move(message));
  }

  // Runs f; what it throws becomes an error of the step, under its kind where it has one. Whether nothing was thrown.
  template <class F>
  bool tried(const char* kind, F&& f) {
    try {
      f();
      return true;
    } catch (const model::TensorSetError& e) {
      for (const model::TensorFault& fault : e.faults()) {
        blame(gguf::fault_name(fault.fault), {fault.tensor, {}, {}, {}, {}}, fault.text);
      }
    } catch (const FormatError& e) {
      blame(gguf::fault_name(e.fault()), e.place(), e.what());
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kInvalidModel) throw;
      blame(kind, {}, e.what());
    }
    return false;
  }

  bool open() {
    if (checkpoint::is_checkpoint(report_.file)) {
      return tried("InvalidCheckpoint", [&] { file_.reset(new gguf::File(checkpoint::open_checkpoint(report_.file))); });
    }
    auto map = std::make_unique<MappedFile>(report_.file);
    const std::span<const uint8_t> bytes(map->data(), static_cast<size_t>(map->size()));
    gguf::Contents header;
    if (!tried("InvalidHeader", [&] { header = gguf::parse_header(report_.file, bytes); })) return false;
    step_ = Step::kTensors;  // where each tensor lies
    gguf::Contents placed = place(header, bytes);
    step_ = Step::kHeader;
    std::vector<std::unique_ptr<const MappedFile>> maps;
    maps.push_back(std::move(map));
    file_ = std::make_unique<gguf::File>(report_.file, std::move(placed), std::move(maps), nullptr);
    return true;
  }

  // The contents with every tensor that has a sound place; those that have none are told and left out.
  gguf::Contents place(gguf::Contents& header, std::span<const uint8_t> bytes) {
    report_.tensors_accessible = true;
    while (true) {
      gguf::Contents placed = header;
      try {
        gguf::place_tensors(report_.file, bytes, {.allow_cut_data = true}, placed);
        if (placed.needed_bytes > bytes.size()) report_.tensors_accessible = false;
        return index_names(std::move(placed));
      } catch (const FormatError& e) {
        report_.tensors_accessible = false;
        blame(gguf::fault_name(e.fault()), e.place(), e.what());
        const auto named = [&](const gguf::TensorInfo& t) { return t.name == e.place().name; };
        const size_t before = header.tensors.size();
        std::erase_if(header.tensors, named);
        left_out_.insert(e.place().name);
        if (header.tensors.size() == before || report_.errors.size() >= kMostFindings) header.tensors.clear();
      }
    }
  }

  static gguf::Contents index_names(gguf::Contents contents) {
    contents.tensor_index.clear();
    for (size_t i = 0; i < contents.tensors.size(); ++i) contents.tensor_index.emplace(contents.tensors[i].name, i);
    return contents;
  }

  void check_metadata() {
    const bool from_gguf = file_->version() != 0;
    if (from_gguf && file_->find("general.quantization_version") == nullptr) {
      warn(gguf::fault_name(Fault::kMissingMetadata), {"general.quantization_version", {}, {}, {}, {}},
           "key general.quantization_version is missing; it is 2 in current files");
    }
    model::Config config;
    // The embedding decides the size of the vocabulary; without a place for it the keys alone cannot be judged.
    if (!left_out_.contains("token_embd.weight") && tried("InvalidMetadata", [&] { config = model::read_config(*file_); })) {
      for (const std::string& warning : config.warnings) warn("Metadata", {}, warning);
      config_ = std::move(config);
    }
  }

  void check_tensors() {
    for (const gguf::TensorInfo& tensor : file_->tensors()) {
      TensorReport t{tensor.name, tensor.type->name, {}, tensor.offset, tensor.bytes, {}};
      t.extents.assign(tensor.extents.begin(), tensor.extents.begin() + tensor.n_dims);
      if (tensor.data == nullptr) {
        blame_cut(tensor);
      } else {
        tried("UnsupportedQuantization", [&] { t.statistics = tensor_statistics(tensor, reading_of(tensor)); });
      }
      if (const auto& n = t.statistics.numbers; n && n->not_finite != 0) {
        blame(gguf::fault_name(Fault::kUnusableNumber), {tensor.name, tensor.offset, tensor.bytes, {}, {}},
              fmt::format("tensor '{}': {} numbers are not finite", printable(tensor.name), n->not_finite));
      }
      report_.tensors.push_back(std::move(t));
    }
  }

  gguf::TernaryOptions reading_of(const gguf::TensorInfo& tensor) const {
    const std::string stem = tensor.name.substr(0, tensor.name.rfind('.'));
    return {.i2s_layout = options_.reading.i2s_layout,
            .tiles = &tiles_,
            .unit_scale_is_right = file_->find_tensor(stem + ".scale") != nullptr};
  }

  // Data that a cut took away: a doubt, because all that is there may be right; strict makes it count.
  void blame_cut(const gguf::TensorInfo& tensor) {
    warn(gguf::fault_name(Fault::kTruncatedFile), {tensor.name, tensor.offset, tensor.bytes, {}, file_->size()},
         fmt::format("tensor '{}': its {} bytes at offset {} end behind the file's {} bytes", printable(tensor.name),
                     tensor.bytes, tensor.offset, file_->size()));
  }

  void check_bitnet() {
    std::map<std::string, size_t> types;  // of ternary tensors
    const gguf::TypeInfo* type = nullptr;
    for (const gguf::TensorInfo& tensor : file_->tensors()) {
      if (tensor.type->cls != gguf::TypeClass::kTernary) continue;
      if (++types[tensor.type->name] == 1) type = tensor.type;
    }
    if (types.empty()) {
      if (!file_->tensors().empty()) {
        blame(gguf::fault_name(Fault::kUnsupportedQuantization), {}, "no tensor has a ternary type: not a BitNet model");
      }
      return;
    }
    std::vector<std::string> names;
    for (const auto& [name, count] : types) names.push_back(name);
    report_.bitnet_info.quantization_type = fmt::format("{}", fmt::join(names, "+"));
    if (types.size() == 1 && type->block_elements > 1) report_.bitnet_info.group_size = type->block_elements;
    if (types.size() > 1) {
      warn("MixedQuantization", {}, fmt::format("ternary tensors have {} types: {}", types.size(), fmt::join(names, ", ")));
    }
  }

  void check_cross_references() {
    if (config_ && !file_->tensors().empty() && !file_->is_cut() && report_.tensors_accessible) {
      tried("TensorSet", [&] { model::read_weights(*file_, *config_, options_.reading); });
    }
    check_tokenizer();
  }

  void check_tokenizer() {
    // A checkpoint's lies in files of its own, which need not be there.
    if (file_->version() == 0 && find_tokenizer_beside(file_->path()).empty()) return;
    tried("InvalidTokenizer", [&] {
      const Tokenizer tokenizer = Tokenizer::of_model(*file_, std::nullopt, {options_.strict_tokenizers});
      for (const std::string& warning : tokenizer.warnings()) warn("Tokenizer", {}, warning);
      const CompatibilityReport& t = report_.tokenizer.emplace(check_compatibility(tokenizer, *file_));
      const auto place = [&](const TokenizerFinding& finding) -> gguf::FaultPlace {
        if (finding.fault != TokenizerFault::kVocabSizeMismatch) return {};
        return {{}, {}, {}, t.model_expectations.expected, t.model_expectations.actual};
      };
      for (const auto& e : t.errors) blame(fault_name(e.fault), place(e), e.message);
      for (const auto& w : t.warnings) warn(fault_name(w.fault), place(w), w.message);
    });
  }

  Options options_;
  Report report_;
  Step step_ = Step::kHeader;
  std::unique_ptr<gguf::File> file_;
  std::optional<model::Config> config_;
  gguf::TileTable tiles_;           // the user's
  std::set<std::string> left_out_;  // tensors without a sound place
};

}  // namespace

Report validate_model(const std::string& path, const Options& options) { return Validation(path, options).run(); }

}  // namespace bitnet::validate
