// convert/plan.cpp - one decision per tensor, and all objections in one message.
#include "convert/plan.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "bitnet/kit/arithmetic.hpp"
#include "convert/source.h"
#include "gguf/ternary_encoder.h"

namespace bitnet::convert {
namespace {

using gguf::Type;

struct WantedType {
  std::string_view name;
  Type type;
  uint32_t file_type;  // what programs that define the format write as general.file_type
  bool half_scales;    // scales are f16
};
constexpr WantedType kTypes[] = {
    {"i2_s", Type::kI2_S, 40, false},     {"tl1", Type::kTL1, 38, false},        {"tl2", Type::kTL2, 39, false},
    {"tq1_0", Type::kTQ1_0, 36, true},    {"tq2_0", Type::kTQ2_0, 37, true},     {"q2_0", Type::kQ2_0, 41, true},
    {"iq1_bn", Type::kIQ1_BN, 136, true}, {"iq2_bn", Type::kIQ2_BN, 137, false}, {"iq2_bn_r4", Type::kIQ2_BN_R4, 337, false},
};

const WantedType& row_of(Type type) {
  return *std::find_if(std::begin(kTypes), std::end(kTypes), [&](const WantedType& t) { return t.type == type; });
}

float half_value(float scale) { return bn::kit::f16_to_f32(bn::kit::f32_to_f16(scale)); }

// Objections of one kind, with the first tensors concerned.
struct Objection {
  std::string what;  // with what to do
  std::vector<std::string> tensors;
  size_t count = 0;
};

class Planner {
 public:
  Planner(const Source& source, const Wanted& wanted)
      : source_(source), wanted_(wanted), row_(row_of(wanted.type)), type_(gguf::type_info(wanted.type)) {
    for (const gguf::TensorInfo& t : source.tensors()) names_.insert(t.name);
  }

  Plan run() {
    plan_.file_type = row_.file_type;
    for (size_t i = 0; i < source_.tensors().size(); ++i) plan_.tensors.push_back(plan_tensor(i));
    if (plan_.n_encoded + plan_.n_copied == 0) {
      fail(ErrorKind::kUsage, "{}: no tensor is ternary, so there is nothing to convert", printable(source_.path()));
    }
    throw_objections();
    return std::move(plan_);
  }

 private:
  PlannedTensor plan_tensor(size_t i) {
    const gguf::TensorInfo& t = source_.tensor(i);
    PlannedTensor planned{i, false, t.type, 1, std::nullopt};
    if (!Source::is_ternary(t)) return planned;
    if (source_.is_plain(i) && t.type->type == wanted_.type) {
      ++plan_.n_copied;
      return planned;
    }
    planned.type = &type_;
    planned.encode = true;
    ++plan_.n_encoded;
    try {
      gguf::TernaryEncoder(type_, t.name, t.extents, {.tiles = wanted_.tiles});
    } catch (const Error& e) {
      object(e.what(), t);
      return planned;
    }
    std::vector<float> scales(t.rows());
    tbb::parallel_for(tbb::blocked_range<uint64_t>(0, t.rows(), 64), [&](const tbb::blocked_range<uint64_t>& r) {
      source_.read_scales(i, r.begin(), r.end(), scales.data() + r.begin());
    });
    if (gguf::ternary_scale_kind(type_) == gguf::ScaleKind::kTensor) {
      plan_one_scale(i, scales, planned);
    } else if (row_.half_scales) {
      plan_half_scales(i, scales, planned);
    }
    source_.release(i);
    return planned;
  }

  void plan_one_scale(size_t i, const std::vector<float>& scales, PlannedTensor& planned) {
    const gguf::TensorInfo& t = source_.tensor(i);
    const std::optional<float> one = common_scale(i, scales);
    if (!one) return object(fmt::format("{} has one scale per tensor, the rows have several; choose iq2_bn", type_.name), t);
    planned.tensor_scale = *one;
    if (wanted_.type == Type::kI2_S) return;
    const bool unit = *one == 1.0f && !names_.contains(scale_name(t.name));
    if (unit || *one <= 0) {
      object(fmt::format("readers of {} refuse a scale of {}; choose i2_s", type_.name, *one), t);
    }
  }

  void plan_half_scales(size_t i, const std::vector<float>& scales, PlannedTensor& planned) {
    const gguf::TensorInfo& t = source_.tensor(i);
    double loss = 0;
    for (const float s : scales) {
      if (s != 0) loss = std::max(loss, std::fabs((static_cast<double>(half_value(s)) - s) / s));
    }
    if (loss == 0) return;
    if (wanted_.scales == Scales::kScaleTensors) {
      const std::string name = scale_name(t.name);
      const std::optional<float> one = common_scale(i, scales);
      if (!one) return object("the rows have several scales, a tensor .scale holds one; choose iq2_bn", t);
      if (name.empty() || name.size() > gguf::kMaxTensorNameBytes || names_.contains(name)) {
        return object("there is a tensor .scale already, or no name for one; choose iq2_bn", t);
      }
      planned.scale_tensor = one;
      ++plan_.n_scale_tensors;
      return;
    }
    if (loss >= 0.5) {  // f16 has no such number: it becomes 0 or infinity
      return object(fmt::format("{} stores scales as f16, which cannot hold these at all; use --scale-tensors", type_.name), t);
    }
    plan_.largest_loss = std::max(plan_.largest_loss, loss);
    if (wanted_.scales == Scales::kAllowLoss) return;
    object(fmt::format("{} rounds scales to f16; --scale-tensors keeps them exactly, --allow-loss rounds", type_.name), t);
  }

  // The scale of all rows, rows of zeros aside; empty when there are several.
  std::optional<float> common_scale(size_t i, const std::vector<float>& scales) const {
    if (std::all_of(scales.begin(), scales.end(), [&](float s) { return s == scales[0]; })) return scales[0];
    std::vector<int8_t> trits(source_.tensor(i).columns());
    std::optional<float> common;
    float last = 0;
    for (uint64_t row = 0; row < scales.size(); ++row) {
      if (scales[row] == 0 || (common && scales[row] == *common)) continue;
      last = scales[row];
      source_.read_trits(i, row, row + 1, trits.data());
      if (std::all_of(trits.begin(), trits.end(), [](int8_t t) { return t == 0; })) continue;
      if (common) return std::nullopt;
      common = scales[row];
    }
    return common.value_or(last);
  }

  void object(const std::string& what, const gguf::TensorInfo& t) {
    auto at = std::find_if(objections_.begin(), objections_.end(), [&](const Objection& o) { return o.what == what; });
    if (at == objections_.end()) at = objections_.insert(objections_.end(), {what, {}, 0});
    if (at->tensors.size() < 3) at->tensors.push_back(printable(t.name));
    ++at->count;
  }

  void throw_objections() const {
    if (objections_.empty()) return;
    std::vector<std::string> texts;
    for (const Objection& o : objections_) {
      if (texts.size() == 6) {
        texts.push_back(fmt::format("and {} more reasons", objections_.size() - 6));
        break;
      }
      const std::string more = o.count > o.tensors.size() ? fmt::format(" and {} more", o.count - o.tensors.size()) : "";
      texts.push_back(fmt::format("{} ({}{})", o.what, fmt::join(o.tensors, ", "), more));
    }
    const std::string loss = plan_.largest_loss > 0
                                 ? fmt::format("; the largest relative error of a scale would be {:.2g}", plan_.largest_loss)
                                 : "";
    fail(ErrorKind::kUsage, "{}: cannot be written as {}: {}{}", printable(source_.path()), type_.name, fmt::join(texts, "; "),
         loss);
  }

  const Source& source_;
  const Wanted& wanted_;
  const WantedType& row_;
  const gguf::TypeInfo& type_;
  std::set<std::string> names_;
  std::vector<Objection> objections_;
  Plan plan_;
};

}  // namespace

Plan make_plan(const Source& source, const Wanted& wanted) { return Planner(source, wanted).run(); }

std::optional<gguf::Type> parse_wanted_type(std::string_view name) {
  for (const WantedType& t : kTypes) {
    if (t.name == name) return t.type;
  }
  return std::nullopt;
}

}  // namespace bitnet::convert
