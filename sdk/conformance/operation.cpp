// conformance/operation.cpp - see operation.h.
#include "operation.h"

#include <atomic>
#include <cfenv>
#include <limits>
#include <thread>

#include "fp_mode.h"
#include "process_state.h"

namespace bitnet::conformance {
namespace {

// Two NaN are equal whatever their payload: no order of operations fixes it.
bool same(float a, float b) { return bn::kit::bits_of(a) == bn::kit::bits_of(b) || (a != a && b != b); }
bool same(int32_t a, int32_t b) { return a == b; }

template <class T>
std::string number(T x) {
  if constexpr (sizeof(T) < 4 || static_cast<T>(0.5) == 0) {
    return say("%d", static_cast<int>(x));
  } else {
    return say("%.9g (bits 0x%08x)", static_cast<double>(x), bn::kit::bits_of(x));
  }
}

template <class T>
std::string place(const Comparison& c, size_t index, const T& expected, const T& found) {
  return say("%s[%zu][%zu]: expected %s, found %s", c.name, index / c.row, index % c.row, number(expected).c_str(),
             number(found).c_str());
}

template <class T>
void compare_bits(const Comparison& c, const std::vector<T>& before, const std::vector<T>& expected, const T* found) {
  size_t differing = 0, first = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (same(expected[i], found[i])) continue;
    if (differing++ == 0) first = i;
  }
  if (differing == 0) return;
  const bool outside = !c.in_place && same(expected[first], before[first]);
  fail(say("%zu of %zu elements differ, the first is %s%s", differing, expected.size(),
           place(c, first, expected[first], found[first]).c_str(), outside ? " (outside the range of the call)" : ""),
       outside ? rule::kRange : "");
}

// Outside the range bits count; inside, the relative L2 error of all finite elements, none of which counts as smaller than the
// smallest normal number.
template <class T>
void compare_near(const Comparison& c, float tolerance, const std::vector<T>& before, const std::vector<T>& expected,
                  const T* found) {
  constexpr double kSmallest = 0x1p-126;
  double error = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double want = static_cast<double>(expected[i]), got = static_cast<double>(found[i]);
    if (!c.in_place && same(expected[i], before[i])) {
      if (!same(expected[i], found[i]))
        fail(place(c, i, expected[i], found[i]) + " (outside the range of the call)", rule::kRange);
      continue;
    }
    if (!std::isfinite(want)) continue;
    if (!std::isfinite(got)) fail(place(c, i, expected[i], found[i]));
    error += (want - got) * (want - got);
    size += want * want;
  }
  if (error == 0) return;  // nothing was asked for, or all is right
  const double relative = std::sqrt(error / std::max(size, static_cast<double>(expected.size()) * kSmallest * kSmallest));
  if (relative <= static_cast<double>(tolerance)) return;
  fail(say("%s: relative L2 error %.3g, the table declares a tolerance of %.3g", c.name, relative,
           static_cast<double>(tolerance)),
       "kernels.h: BN_APPROX_1 keeps each op's relative L2 error within `tolerance`");
}

template <class T>
void compare_any(const Comparison& c, const Accuracy& accuracy, const std::vector<T>& before, const std::vector<T>& expected,
                 const T* found) {
  if (accuracy.exact) {
    compare_bits(c, before, expected, found);
  } else {
    compare_near(c, accuracy.tolerance, before, expected, found);
  }
}

std::vector<Range> whole(uint32_t n) { return {{0, n}}; }

void call(Subject& s, Operation& op, Range a, Range b, void* scratch, const void* arguments = nullptr) {
  const FpModeGuard mode;
  const bn_status status = op.call(s.kernels(), s.device(), arguments == nullptr ? op.arguments() : arguments, a, b, scratch);
  mode.check(op.name());
  expect_ok(status, op.name());
}

// All of the op at once, compared.
void check_whole(Subject& s, Operation& op, GuardedBytes& scratch) {
  check_ranges(s, op, whole(op.n_a), whole(op.n_b), scratch);
}

// --------------------------------------------------------------------- tests that make sense for every op

void check_cuts(Subject& s, MakeOperations make) {
  for (const Edge edge : kBothEdges) {
    for (const auto& op : make(s, edge)) check_all_ways(s, *op, edge);
  }
}

void check_replay(Subject& s, MakeOperations make) {
  const auto operations = make(s, Edge::kEnd);
  const auto scratch = s.scratch(Edge::kEnd);
  const size_t threads = count_threads();
  for (int round = 0; round < 3; ++round) {
    const Where where(say("round %d of the same calls", round + 1));
    for (const auto& op : operations) check_whole(s, *op, *scratch);
  }
  expect(count_threads() == threads, say("%zu threads before the calls, %zu after", threads, count_threads()));
}

void check_scratch(Subject& s, MakeOperations make) {
  if (s.kernels().scratch_bytes == 0) throw NotApplicable{"the table asks for no scratch memory"};
  for (const uint8_t content : {0x00, 0xFF, 0x7F, 0x3F}) {
    const Where where(say("scratch filled with 0x%02X", content));
    const auto scratch = s.scratch(Edge::kStart, content);
    for (const auto& op : make(s, Edge::kEnd)) check_whole(s, *op, *scratch);
  }
}

// The arguments in memory that ends where the struct ends, and as a newer host has them: longer, with a tail that is not 0.
void check_struct_sizes(Subject& s, MakeOperations make) {
  const auto scratch = s.scratch(Edge::kEnd);
  for (const auto& op : make(s, Edge::kEnd)) {
    for (const size_t tail : {size_t{0}, size_t{8}, size_t{64}}) {
      const size_t bytes = op->arguments_bytes() + tail;
      const Where where(tail == 0 ? "arguments end at an unmapped page"
                                  : say("struct_size is %zu, %zu more than 1.0 has; the tail holds 0xA5", bytes, tail));
      GuardedBytes arguments("the arguments struct", bytes, Edge::kEnd, alignof(void*));
      std::memset(arguments.data(), 0xA5, bytes);
      std::memcpy(arguments.data(), op->arguments(), op->arguments_bytes());
      const uint32_t struct_size = static_cast<uint32_t>(bytes);
      std::memcpy(arguments.data(), &struct_size, sizeof struct_size);
      arguments.freeze();
      op->reset();
      op->run_reference({0, op->n_a}, {0, op->n_b});
      call(s, *op, {0, op->n_a}, {0, op->n_b}, scratch->data(), arguments.data());
      op->check(accuracy_of(s.kernels()));
    }
  }
}

// The host may have changed the mode of its thread. Whatever the numbers are then, the mode is the host's, before and after.
void check_fp_environment(Subject& s, MakeOperations make) {
  const FpModeGuard guard;
  const FpMode usual = fp_mode();
  std::vector<FpMode> modes(5, usual);
  modes[0].rounding = FE_UPWARD;
  modes[1].rounding = FE_DOWNWARD;
  modes[2].rounding = FE_TOWARDZERO;
  modes[3].flush_to_zero = true;
  const auto scratch = s.scratch(Edge::kEnd);
  for (const auto& op : make(s, Edge::kEnd)) {
    for (const FpMode& mode : modes) {
      const Where where("the host's mode: " + text_of(mode));
      op->reset();
      set_fp_mode(mode);
      const bn_status status = op->call(s.kernels(), s.device(), op->arguments(), {0, op->n_a}, {0, op->n_b}, scratch->data());
      const FpMode after = fp_mode();
      set_fp_mode(usual);
      expect_ok(status, op->name());
      expect(after == mode, say("%s changed the floating-point mode to: %s", op->name(), text_of(after).c_str()),
             rule::kBoundary);
      check_whole(s, *op, *scratch);
    }
  }
}

void check_empty_range(Subject& s, MakeOperations make) {
  const auto scratch = s.scratch(Edge::kEnd);
  for (const auto& op : make(s, Edge::kEnd)) {
    op->reset();
    for (const uint32_t at : {0u, op->n_a / op->granule_a * op->granule_a}) {
      const Where where(say("empty range at %u", at));
      call(s, *op, {at, at}, {0, op->n_b}, scratch->data());
      if (op->n_b > 1) call(s, *op, {0, op->n_a}, {op->n_b, op->n_b}, scratch->data());
      op->check(accuracy_of(s.kernels()));
    }
  }
}

// Runs the pieces of one op on eight threads, each with scratch of its own, all starting together.
void run_in_threads(Subject& s, Operation& op) {
  constexpr uint32_t kThreads = 8;
  std::vector<std::pair<Range, Range>> pieces;
  for (uint32_t a = 0; a < op.n_a; a += op.granule_a) {
    for (uint32_t b = 0; b < op.n_b; b += op.granule_b) {
      pieces.push_back({{a, std::min(op.n_a, a + op.granule_a)}, {b, std::min(op.n_b, b + op.granule_b)}});
    }
  }
  const bn_kernels_v1& kernels = s.kernels();
  bn_device* device = s.device();
  std::atomic<uint32_t> waiting = kThreads;
  std::atomic<bn_status> worst = BN_OK;
  std::vector<std::thread> threads;
  for (uint32_t k = 0; k < kThreads; ++k) {
    threads.emplace_back([&, k] {
      const auto scratch = s.scratch(Edge::kEnd);
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      for (size_t i = k; i < pieces.size(); i += kThreads) {
        const auto& [a, b] = pieces[i];
        if (const bn_status status = op.call(kernels, device, op.arguments(), a, b, scratch->data()); status != BN_OK)
          worst = status;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  expect_ok(worst, op.name());
}

void check_threads(Subject& s, MakeOperations make) {
  constexpr int kRounds = 12;
  for (const auto& op : make(s, Edge::kEnd)) {
    for (int round = 0; round < kRounds; ++round) {
      const Where where(say("8 threads on disjoint ranges, round %d", round + 1));
      op->reset();
      op->run_reference({0, op->n_a}, {0, op->n_b});
      run_in_threads(s, *op);
      op->check(accuracy_of(s.kernels()));
    }
  }
}

}  // namespace

const bn_kernels_v1& reference() { return *bn_portable_kernels(); }

Accuracy accuracy_of(const bn_kernels_v1& kernels) { return {kernels.numerics == BN_EXACT_1, kernels.tolerance}; }

void compare(const Comparison& c, const Accuracy& accuracy, const std::vector<float>& before,
             const std::vector<float>& expected, const float* found) {
  compare_any(c, accuracy, before, expected, found);
}
void compare(const Comparison& c, const Accuracy& accuracy, const std::vector<int8_t>& before,
             const std::vector<int8_t>& expected, const int8_t* found) {
  compare_any(c, accuracy, before, expected, found);
}
void compare(const Comparison& c, const Accuracy& accuracy, const std::vector<int32_t>& before,
             const std::vector<int32_t>& expected, const int32_t* found) {
  compare_any(c, accuracy, before, expected, found);
}

std::vector<std::vector<Range>> ways_to_cut(uint32_t n, uint32_t granule) {
  std::vector<std::vector<Range>> ways = {{{0, n}}};
  if (n <= granule) return ways;
  std::vector<Range> single, uneven;
  for (uint32_t r = 0; r < n; r += granule) single.emplace_back(r, std::min(n, r + granule));
  uint32_t step = 1;
  for (uint32_t r = 0; r < n; step = step % 3 + 1) {
    const uint32_t end = std::min(n, r + step * granule);
    uneven.emplace_back(r, end);
    r = end;
  }
  ways.push_back(single);
  ways.push_back(uneven);
  ways.push_back({single[single.size() / 2]});
  ways.push_back({single.back()});
  return ways;
}

void check_ranges(Subject& s, Operation& op, const std::vector<Range>& a, const std::vector<Range>& b, GuardedBytes& scratch) {
  Accuracy accuracy = accuracy_of(s.kernels());
  const bool whole_op = a.front().first == 0 && a.back().second == op.n_a && b.front().first == 0 && b.back().second == op.n_b;
  if (!whole_op) accuracy.tolerance = std::numeric_limits<float>::infinity();  // it speaks of an op's whole output
  op.reset();
  for (const Range& range_a : a) {
    for (const Range& range_b : b) op.run_reference(range_a, range_b);
  }
  for (const Range& range_a : a) {
    for (const Range& range_b : b) {
      const Where where(say("range [%u, %u)", range_a.first, range_a.second) +
                        (op.n_b > 1 ? say(" x [%u, %u)", range_b.first, range_b.second) : ""));
      call(s, op, range_a, range_b, scratch.data());
    }
  }
  const Where where(say("%zu calls from [%u, %u)", a.size() * b.size(), a[0].first, a[0].second));
  op.check(accuracy);
  scratch.expect_slack_intact();
}

void check_all_ways(Subject& s, Operation& op, Edge edge) {
  const auto scratch = s.scratch(edge);
  for (const std::vector<Range>& a : ways_to_cut(op.n_a, op.granule_a)) {
    for (const std::vector<Range>& b : ways_to_cut(op.n_b, op.granule_b)) check_ranges(s, op, a, b, *scratch);
  }
}

void needs_op(bool offered, const char* op) {
  if (!offered) throw NotApplicable{say("%s is not offered: the runtime uses its own body", op)};
}

void add_common_tests(Tests& tests, const std::string& group, MakeOperations make) {
  using Check = void (*)(Subject&, MakeOperations);
  struct Common {
    const char *name, *rule;
    Check check;
  };
  static constexpr Common kCommon[] = {
      {"slices", rule::kRange, check_cuts},
      {"threads", rule::kNoState, check_threads},
      {"replay", rule::kNoState, check_replay},
      {"scratch_is_garbage", "kernels.h: the contents of scratch are undefined", check_scratch},
      {"struct_sizes", rule::kSizes, check_struct_sizes},
      {"fp_environment", rule::kBoundary, check_fp_environment},
      {"empty_range", rule::kRange, check_empty_range}};
  for (const Common& c : kCommon) {
    tests.push_back({group + "." + c.name, c.rule, [make, &c](Subject& s) { c.check(s, make); }});
  }
}

}  // namespace bitnet::conformance
