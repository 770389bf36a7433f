// convert/weight_comparison.cpp - pairs tensors by name and adds up the differences of their rows.
#include "convert/weight_comparison.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"
#include "gguf/float_formats.h"

namespace bitnet::convert {
namespace {

constexpr uint64_t kTaskWeights = 1 << 18;

// Values of rows of one tensor, and trits and scales where it is ternary.
class Rows {
 public:
  Rows(const Source& source, size_t i) : source_(source), i_(i), ternary_(Source::is_ternary(source.tensor(i))) {
    if (!ternary_) return;
    const std::string name = scale_name(source.tensor(i).name);
    const gguf::TensorInfo* factor = name.empty() ? nullptr : source.file().find_tensor(name);
    if (factor != nullptr && factor->columns() == 1 && factor->rows() == 1 && gguf::dense_dtype(*factor->type)) {
      gguf::dequantize_rows(*factor, 0, 1, &factor_);
    }
  }

  bool ternary() const { return ternary_; }

  // trits and scales stay empty for other types.
  struct Read {
    std::vector<int8_t> trits;
    std::vector<float> scales, values;
  };
  Read read(uint64_t row0, uint64_t row1) const {
    const gguf::TensorInfo& t = source_.tensor(i_);
    const uint64_t rows = row1 - row0, n = rows * t.columns();
    Read r;
    r.values.resize(n);
    if (!ternary_) {
      gguf::dequantize_rows(t, row0, row1, r.values.data());
      return r;
    }
    r.trits.resize(n);
    r.scales.resize(rows);
    source_.read_trits(i_, row0, row1, r.trits.data());
    source_.read_scales(i_, row0, row1, r.scales.data());
    for (uint64_t row = 0; row < rows; ++row) {
      r.scales[row] *= factor_;
      for (uint64_t c = row * t.columns(); c < (row + 1) * t.columns(); ++c)
        r.values[c] = r.scales[row] * static_cast<float>(r.trits[c]);
    }
    return r;
  }

 private:
  const Source& source_;
  size_t i_;
  bool ternary_;
  float factor_ = 1;
};

struct Sums {
  uint64_t codes_different = 0;
  double scale_difference = 0, squared_error = 0, squared_a = 0, max_error = 0;
  bool finite = true;

  void add(const Sums& s) {
    codes_different += s.codes_different;
    squared_error += s.squared_error;
    squared_a += s.squared_a;
    scale_difference = std::max(scale_difference, s.scale_difference);
    max_error = std::max(max_error, s.max_error);
    finite = finite && s.finite;
  }
};

void compare_codes(const Rows::Read& a, const Rows::Read& b, uint64_t columns, Sums& sums) {
  for (size_t row = 0; row < a.scales.size(); ++row) {
    uint64_t different = 0, weights = 0;
    for (uint64_t c = row * columns; c < (row + 1) * columns; ++c) {
      different += a.trits[c] != b.trits[c];
      weights += a.trits[c] != 0 || b.trits[c] != 0;
    }
    sums.codes_different += different;
    if (weights == 0 || a.scales[row] == b.scales[row]) continue;
    const double difference = std::fabs(static_cast<double>(a.scales[row]) - b.scales[row]);
    sums.scale_difference = std::max(sums.scale_difference, difference / std::fabs(a.scales[row]));
  }
}

Sums compare_rows(const Rows& rows_a, const Rows& rows_b, uint64_t columns, uint64_t row0, uint64_t row1) {
  const Rows::Read a = rows_a.read(row0, row1), b = rows_b.read(row0, row1);
  Sums sums;
  if (rows_a.ternary() && rows_b.ternary()) compare_codes(a, b, columns, sums);
  for (size_t i = 0; i < a.values.size(); ++i) {
    const double va = a.values[i], error = std::fabs(va - b.values[i]);
    sums.finite = sums.finite && std::isfinite(error);
    sums.squared_error += error * error;
    sums.squared_a += va * va;
    sums.max_error = std::max(sums.max_error, error);
  }
  return sums;
}

double tolerance_of(const gguf::TypeInfo& type) {
  return type.type == gguf::Type::kTL1 || type.type == gguf::Type::kTL2 ? 1e-4 : 1e-5;
}

bool is_read(const gguf::TensorInfo& t) { return Source::is_ternary(t) || gguf::dense_dtype(*t.type).has_value(); }

void measure(const Source& a, size_t ia, const Source& b, size_t ib, TensorComparison& out) {
  const gguf::TensorInfo &ta = a.tensor(ia), &tb = b.tensor(ib);
  if (ta.extents != tb.extents) {
    out.problem = fmt::format("the shapes differ: {{{}}} and {{{}}}", fmt::join(ta.extents, ", "), fmt::join(tb.extents, ", "));
    return;
  }
  for (const gguf::TensorInfo* t : {&ta, &tb}) {
    if (is_read(*t)) continue;
    out.problem = fmt::format("type {} is not read", t->type->name);
    return;
  }
  const Rows rows_a(a, ia), rows_b(b, ib);
  const uint64_t step = std::max<uint64_t>(1, kTaskWeights / ta.columns()), n = (ta.rows() + step - 1) / step;
  std::vector<Sums> parts(n);
  tbb::parallel_for(uint64_t{0}, n, [&](uint64_t i) {
    parts[i] = compare_rows(rows_a, rows_b, ta.columns(), i * step, std::min((i + 1) * step, ta.rows()));
  });
  Sums sums;
  for (const Sums& part : parts) sums.add(part);
  out.weights = ta.rows() * ta.columns();
  if (!sums.finite) {
    out.problem = "a number is not finite";
    return;
  }
  if (rows_a.ternary() && rows_b.ternary()) {
    out.codes_different = sums.codes_different;
    out.scale_difference = sums.scale_difference;
  }
  out.mse = sums.squared_error / static_cast<double>(out.weights);
  out.max_error = sums.max_error;
  out.relative_error =
      sums.squared_error == 0 ? 0 : std::sqrt(sums.squared_error / sums.squared_a);  // infinite where a is zero
}

// The scale of a ternary tensor is part of it, not one more tensor.
bool is_scale_of_ternary(const Source& source, const std::string& name) {
  constexpr std::string_view kEnd = ".scale";
  if (!name.ends_with(kEnd)) return false;
  const gguf::TensorInfo* weight = source.file().find_tensor(name.substr(0, name.size() - kEnd.size()) + ".weight");
  return weight != nullptr && Source::is_ternary(*weight);
}

}  // namespace

bool WeightComparison::passed() const {
  return !tensors.empty() && std::all_of(tensors.begin(), tensors.end(), [](const TensorComparison& t) { return t.passed(); });
}

WeightComparison compare_weights(const Source& a, const Source& b, std::optional<double> tolerance,
                                 const std::function<void(uint64_t done, uint64_t total)>& on_progress) {
  std::map<std::string, size_t> in_b;
  for (size_t i = 0; i < b.tensors().size(); ++i) in_b.emplace(b.tensor(i).name, i);
  const uint64_t total = std::accumulate(a.tensors().begin(), a.tensors().end(), uint64_t{0},
                                         [](uint64_t sum, const gguf::TensorInfo& t) { return sum + t.bytes; });
  WeightComparison result;
  uint64_t done = 0;
  for (size_t i = 0; i < a.tensors().size(); ++i) {
    const gguf::TensorInfo& t = a.tensor(i);
    const auto other = in_b.find(t.name);
    if (!is_scale_of_ternary(a, t.name)) {
      TensorComparison c;
      c.name = t.name;
      c.type_a = t.type->name;
      if (other == in_b.end()) {
        c.problem = "missing in the second file";
      } else {
        c.type_b = b.tensor(other->second).type->name;
        c.tolerance = tolerance.value_or(tolerance_of(*b.tensor(other->second).type));
        try {
          measure(a, i, b, other->second, c);
        } catch (const Error& e) {
          if (e.kind() != ErrorKind::kInvalidModel) throw;
          c.problem = e.what();
        }
        b.release(other->second);
      }
      a.release(i);
      result.tensors.push_back(std::move(c));
    }
    if (other != in_b.end()) in_b.erase(other);
    done += t.bytes;
    if (on_progress) on_progress(done, total);
  }
  for (const auto& [name, i] : in_b) {
    if (is_scale_of_ternary(b, name)) continue;
    TensorComparison c;
    c.name = name;
    c.type_b = b.tensor(i).type->name;
    c.problem = "missing in the first file";
    result.tensors.push_back(std::move(c));
  }
  return result;
}

}  // namespace bitnet::convert
