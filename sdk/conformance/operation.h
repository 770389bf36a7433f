// conformance/operation.h - one call of one op with all its buffers guarded, the reference's answer beside it, and the ways
// to call it that every op has in common.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "bitnet/kit/arithmetic.hpp"
#include "bitnet/kit/portable.h"
#include "check.h"
#include "random.h"
#include "test.h"

namespace bitnet::conformance {

// How results are judged: by bits, or by their relative L2 distance.
struct Accuracy {
  bool exact;
  float tolerance;
};
Accuracy accuracy_of(const bn_kernels_v1& kernels);

// Content of an output before the call: no value that an op plausibly computes, no NaN.
template <class T>
std::vector<T> untouched(size_t n) {
  std::vector<T> v(n);
  for (size_t i = 0; i < n; ++i) {
    const uint32_t pattern = 0x7149F2CAu + static_cast<uint32_t>(i % 97) * 0x101u;
    std::memcpy(&v[i], &pattern, sizeof(T) < 4 ? sizeof(T) : 4);
  }
  return v;
}

// Compares what a plugin wrote with the reference. Elements where the reference left `before` are outside the range.
// in_place: `before` is data, so nothing can be said about those. row: elements per row, for messages.
struct Comparison {
  const char* name;
  uint32_t row;
  bool in_place;
};
void compare(const Comparison& c, const Accuracy& accuracy, const std::vector<float>& before,
             const std::vector<float>& expected, const float* found);
void compare(const Comparison& c, const Accuracy& accuracy, const std::vector<int8_t>& before,
             const std::vector<int8_t>& expected, const int8_t* found);
void compare(const Comparison& c, const Accuracy& accuracy, const std::vector<int32_t>& before,
             const std::vector<int32_t>& expected, const int32_t* found);

// An output buffer: content before the call, as the reference leaves it, as the plugin leaves it.
template <class T>
class Output {
 public:
  Output(const char* name, const std::vector<T>& before, uint32_t row, bool in_place, Edge edge)
      : expected(before), before_(before), row_(row), in_place_(in_place), memory_(name, before, edge) {}
  void reset() {
    expected = before_;
    memory_.assign(before_);
  }
  T* found() const { return memory_.data(); }
  void check(const Accuracy& accuracy) const {
    compare({memory_.name(), row_, in_place_}, accuracy, before_, expected, memory_.data());
    memory_.expect_slack_intact();
  }
  std::vector<T> expected;

 private:
  std::vector<T> before_;
  uint32_t row_;
  bool in_place_;
  Guarded<T> memory_;
};

// A half-open range of rows, tokens, heads or columns.
using Range = std::pair<uint32_t, uint32_t>;
// Ways to cut [0, n) at multiples of granule: at once, in pieces of one granule, in uneven pieces, and one piece alone.
std::vector<std::vector<Range>> ways_to_cut(uint32_t n, uint32_t granule);

// An op with its arguments. Ranges have two dimensions; ops of one have n_b = 1.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual const char* name() const = 0;
  virtual void reset() = 0;  // outputs as before the first call
  virtual void run_reference(Range a, Range b) = 0;
  virtual const void* arguments() const = 0;  // the struct a plugin gets
  virtual size_t arguments_bytes() const = 0;
  virtual bn_status call(const bn_kernels_v1&, bn_device*, const void* arguments, Range a, Range b, void* scratch) const = 0;
  virtual void check(const Accuracy&) const = 0;

  uint32_t n_a = 1, n_b = 1, granule_a = 1, granule_b = 1;
};

// Adds the arguments: one struct for the plugin, one for the reference, that differ in their buffers.
template <class Args>
class OperationOf : public Operation {
 public:
  const void* arguments() const override { return &args_; }
  size_t arguments_bytes() const override { return sizeof(Args); }

 protected:
  Args args_ = {}, reference_ = {};
};

const bn_kernels_v1& reference();  // the kit's bodies

// Calls the plugin for the ranges and compares. scratch holds garbage.
void check_ranges(Subject& s, Operation& op, const std::vector<Range>& a, const std::vector<Range>& b, GuardedBytes& scratch);
// Every way to cut both ranges.
void check_all_ways(Subject& s, Operation& op, Edge edge);

// Throws NotApplicable unless the plugin has the op.
void needs_op(bool offered, const char* op);
#define BN_NEEDS_OP(subject, field) \
  needs_op(BN_HAS(&(subject).kernels(), field) && (subject).kernels().field != nullptr, #field)

// A few ordinary calls of an op; the tests below make sense for each of them.
using MakeOperations = std::vector<std::unique_ptr<Operation>> (*)(Subject&, Edge);
// threads, replay, scratch_is_garbage, struct_sizes, fp_environment, empty_range: the same for every op.
void add_common_tests(Tests& tests, const std::string& group, MakeOperations make);

}  // namespace bitnet::conformance
