// conformance/norm_tests.cpp - RMS norm and int8 quantisation against the reference body.
#include <limits>

#include "operation.h"

namespace bitnet::conformance {
namespace {

constexpr char kDefinition[] =
    "exact-1, norm: r = 1/sqrt(S16(x,x)/n + eps), y = (x*gain)*r; q = round-half-even(u * (127/a)), u = x*gain, a = max |u|, "
    "at "
    "least 1e-5*sqrt(mean+eps); q_scale = (a/127)*r";

struct Case {
  uint32_t n, vectors = 1;
  float eps = 1e-5f;
  bool gain = true, wants_y = true, wants_q = true, in_place = false;
  uint32_t gap = 0;  // between vectors of x, y; q gets at least so much zero padding
  std::string text() const {
    return say("n %u, %u vectors, eps %g, %s gain, wants%s%s%s, strides + %u, seed %llu", n, vectors, static_cast<double>(eps),
               gain ? "with" : "without", wants_y ? " y" : "", wants_q ? " q" : "", in_place ? ", y is x" : "", gap,
               static_cast<unsigned long long>(base_seed));
  }
};

class Norm : public OperationOf<bn_norm> {
 public:
  // x: [vectors][n + gap], the last one without its gap.
  Norm(const Case& c, Edge edge, const std::vector<float>& x)
      : case_(c),
        q_stride_((c.n + c.gap + 15) / 16 * 16),
        x_("x", x, edge),
        gain_("gain", Random(7).normals(c.n), edge),
        y_("y", c.in_place ? x : untouched<float>(x.size()), c.n + c.gap, c.in_place, edge),
        q_("q", untouched<int8_t>(static_cast<size_t>(c.vectors) * q_stride_), q_stride_, false, edge),
        q_scale_("q_scale", untouched<float>(c.vectors), c.vectors, false, edge),
        q_sum_("q_sum", untouched<int32_t>(c.vectors), c.vectors, false, edge) {
    n_a = c.vectors;
    args_ = with(c.in_place ? y_.found() : x_.data(), y_.found(), q_.found(), q_scale_.found(), q_sum_.found());
  }
  static std::vector<float> random_x(const Case& c) {
    return Random(c.n).normals(static_cast<size_t>(c.vectors - 1) * (c.n + c.gap) + c.n);
  }

  const char* name() const override { return "norm"; }
  void reset() override { y_.reset(), q_.reset(), q_scale_.reset(), q_sum_.reset(); }
  void run_reference(Range vectors, Range) override {
    const bn_norm a = with(case_.in_place ? y_.expected.data() : x_.data(), y_.expected.data(), q_.expected.data(),
                           q_scale_.expected.data(), q_sum_.expected.data());
    reference().norm(nullptr, &a, vectors.first, vectors.second, nullptr);
  }
  bn_status call(const bn_kernels_v1& k, bn_device* d, const void* a, Range vectors, Range, void* scratch) const override {
    return k.norm(d, static_cast<const bn_norm*>(a), vectors.first, vectors.second, scratch);
  }
  void check(const Accuracy& accuracy) const override {
    y_.check(accuracy), q_.check(accuracy), q_scale_.check(accuracy), q_sum_.check(accuracy);
  }

 private:
  bn_norm with(const float* x, float* y, int8_t* q, float* q_scale, int32_t* q_sum) const {
    const uint32_t stride = case_.n + case_.gap;
    return {sizeof(bn_norm),
            case_.n,
            case_.eps,
            stride,
            stride,
            q_stride_,
            x,
            case_.gain ? gain_.data() : nullptr,
            case_.wants_y ? y : nullptr,
            case_.wants_q ? q : nullptr,
            case_.wants_q ? q_scale : nullptr,
            case_.wants_q ? q_sum : nullptr};
  }

  Case case_;
  uint32_t q_stride_;
  Input<float> x_, gain_;
  Output<float> y_;
  Output<int8_t> q_;
  Output<float> q_scale_;
  Output<int32_t> q_sum_;
};

void check(Subject& s, const Case& c, const std::vector<float>& x) {
  BN_NEEDS_OP(s, norm);
  const Where where(c.text());
  for (const Edge edge : kBothEdges) {
    const Where at(name_of(edge));
    Norm op(c, edge, x);
    check_all_ways(s, op, edge);
  }
}
void check(Subject& s, const Case& c) { check(s, c, Norm::random_x(c)); }

constexpr float kEpsilons[] = {1e-5f, 0.0f, -1.0f};

// All ways to ask for the result of one vector.
void check_content(Subject& s, const std::vector<float>& x) {
  for (const float eps : kEpsilons) {
    for (const bool gain : {false, true}) check(s, {static_cast<uint32_t>(x.size()), 1, eps, gain}, x);
  }
}

std::vector<std::unique_ptr<Operation>> typical(Subject& s, Edge edge) {
  BN_NEEDS_OP(s, norm);
  std::vector<std::unique_ptr<Operation>> operations;
  for (const Case& c : {Case{600, 24, 1e-5f, true, true, true, false, 9}, Case{128, 20, 1e-6f, true, true, false, true},
                        Case{333, 16, -1.0f, false, false, true}}) {
    operations.push_back(std::make_unique<Norm>(c, edge, Norm::random_x(c)));
  }
  return operations;
}

void lengths(Subject& s) {
  for (const uint32_t n : {1u,   2u,   7u,   8u,   9u,   15u,  16u,  17u,  31u,  32u,  33u,  64u,  80u,   96u,   100u,
                           127u, 128u, 129u, 255u, 256u, 257u, 271u, 272u, 273u, 511u, 512u, 513u, 1000u, 2560u, 6912u}) {
    check(s, {n});
    check(s, {n, 3, 1e-6f, false, true, true, false, 5});
  }
}

void combinations(Subject& s) {
  for (const uint32_t n : {100u, 128u, 600u}) {
    for (const float eps : kEpsilons) {
      for (int bits = 0; bits < 16; ++bits) {
        const bool gain = (bits & 1) != 0, y = (bits & 2) != 0, q = (bits & 4) != 0, in_place = (bits & 8) != 0;
        if ((!y && !q) || (in_place && !y)) continue;
        check(s, {n, 4, eps, gain, y, q, in_place});
        check(s, {n, 4, eps, gain, y, q, in_place, 9});
      }
    }
  }
}

void zeros(Subject& s) {
  for (const uint32_t n : {1u, 16u, 100u, 256u, 2560u}) {
    check_content(s, std::vector<float>(n, 0.0f));
    check_content(s, std::vector<float>(n, -0.0f));
  }
}

void magnitudes(Subject& s) {
  for (const float scale : {1e-44f, 1e-38f, 1e-30f, 1e-19f, 1e-6f, 1e-5f, 1e-3f, 1e3f, 1e10f, 1e18f, 3e19f, 1e30f, 1e38f}) {
    for (const uint32_t n : {17u, 256u, 300u, 2560u}) check_content(s, Random(n).normals(n, scale));
  }
}

void outliers(Subject& s) {
  for (const uint32_t n : {33u, 128u, 300u, 2560u}) {
    for (const uint32_t place : {0u, n / 2, n - 1}) {
      for (const float outlier : {1000.0f, -1000.0f, 3e5f}) {
        std::vector<float> x = Random(n).normals(n, 0.01f);
        x[place] = outlier;
        check_content(s, x);
      }
    }
  }
}

// x * 127 / largest lands exactly between two integers: ties go to the even one.
void rounding_ties(Subject& s) {
  std::vector<float> x;
  for (int i = -254; i <= 254; ++i) x.push_back(static_cast<float>(i) * 0.5f);
  check(s, {static_cast<uint32_t>(x.size()), 1, -1.0f, false}, x);
  for (float& v : x) v *= 0.0078125f;
  check(s, {static_cast<uint32_t>(x.size()), 1, -1.0f, false}, x);
}

// Below 1e-5 the scale has a floor, with and without norm.
void floor_of_the_scale(Subject& s) {
  for (const float size : {0.5e-5f, 0.99e-5f, 1e-5f, 1.01e-5f}) {
    std::vector<float> x(320, 0.0f);
    for (size_t i = 0; i < x.size(); i += 3) x[i] = i % 2 == 0 ? size : -size;
    check_content(s, x);
    std::vector<float> one(320, 0.0f);
    one[11] = size;
    check_content(s, one);
  }
}

// Values that are not finite must come out as the reference body says: the runtime relies on seeing them.
void not_finite_stays_visible(Subject& s) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {nan, infinity, -infinity}) {
    for (const uint32_t place : {0u, 5u, 130u, 299u}) {
      std::vector<float> x = Random(3).normals(300);
      x[place] = bad;
      check_content(s, x);
    }
  }
}

}  // namespace

Tests norm_tests() {
  Tests tests = {{"norm.lengths", kDefinition, lengths},
                 {"norm.combinations", kDefinition, combinations},
                 {"norm.zeros", kDefinition, zeros},
                 {"norm.magnitudes", kDefinition, magnitudes},
                 {"norm.outliers", kDefinition, outliers},
                 {"norm.rounding_ties", kDefinition, rounding_ties},
                 {"norm.floor_of_the_scale", kDefinition, floor_of_the_scale},
                 {"norm.not_finite_stays_visible", kDefinition, not_finite_stays_visible}};
  add_common_tests(tests, "norm", typical);
  return tests;
}

}  // namespace bitnet::conformance
