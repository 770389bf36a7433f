// unit/backend/priority_test.cpp - who may run and in which order, as a table: machine, wish, answer.
#include "backend/priority.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace bitnet::backend {
namespace {

using Strings = std::vector<std::string>;

BackendFacts fact(std::string name, std::string id, std::string kind, Strings devices, std::string reason = "") {
  return {std::move(name), std::move(id), std::move(kind), reason.empty(), reason, std::move(devices)};
}
const BackendFacts kPortable = fact("cpu_portable", "org.bitnet-run.cpu-portable", "cpu", {"cpu"});
const BackendFacts kAvx2 = fact("cpu_avx2", "org.bitnet-run.cpu-avx2", "cpu", {"cpu"});
const BackendFacts kAvx512 = fact("cpu_avx512", "org.bitnet-run.cpu-avx512", "cpu", {"cpu"});
const BackendFacts kNoAvx512 = fact("cpu_avx512", "org.bitnet-run.cpu-avx512", "cpu", {}, "needs avx512f");
const BackendFacts kCuda = fact("cuda", "org.bitnet-run.cuda", "gpu", {"0000:01:00.0", "0000:02:00.0"});
const BackendFacts kNoCuda = fact("cuda", "org.bitnet-run.cuda", "gpu", {}, "driver too old");
const BackendFacts kMock = fact("mock", "org.bitnet-run.mock", "test", {"mock"});
const BackendFacts kAcme = fact("acme", "com.acme.npu", "npu", {"acme0"});
const BackendFacts kNoGpu =
    fact("cuda", "org.bitnet-run.cuda", "gpu", {}, "not supported on this machine: no device: no NVIDIA driver");
const BackendFacts kFalseCuda = fact("cuda", "com.evil.cuda", "gpu", {"evil"});

// "name/device name/device ..."
std::string order_text(const Order& order) {
  std::string text;
  for (const Candidate& c : order.candidates) text += (text.empty() ? "" : " ") + c.name + "/" + c.device;
  return text;
}

std::string reason_for(const Order& order, const std::string& name) {
  for (const LeftOut& l : order.left_out) {
    if (l.name == name) return (l.asked ? "asked: " : "") + l.reason;
  }
  return "(not left out)";
}

TEST(Priority, DefaultIsCudaThenCpu) { EXPECT_EQ(default_priority(), (Strings{"cuda", "cpu"})); }

TEST(Priority, Table) {
  const std::string gpus = "cuda/0000:01:00.0 cuda/0000:02:00.0";
  const std::string cpus = "cpu_avx512/cpu cpu_avx2/cpu cpu_portable/cpu";
  const std::vector<BackendFacts> full = {kMock, kPortable, kAcme, kAvx2, kCuda, kAvx512};
  const std::vector<BackendFacts> plain = {kPortable, kNoAvx512, kAvx2, kNoCuda, kMock};
  const struct {
    const char* what;
    std::vector<BackendFacts> plugins;
    Strings requested;
    bool strict, allow_mock;
    std::string expected;
  } cases[] = {
      {"default", full, {}, false, false, gpus + " " + cpus},
      {"auto is the default", full, {"auto"}, false, false, gpus + " " + cpus},
      {"search order does not matter", {kAvx512, kAvx2, kPortable, kCuda}, {}, false, false, gpus + " " + cpus},
      {"unusable ones are skipped", plain, {}, false, false, "cpu_avx2/cpu cpu_portable/cpu"},
      {"X goes in front", full, {"cpu_portable"}, false, false, "cpu_portable/cpu " + gpus + " cpu_avx512/cpu cpu_avx2/cpu"},
      {"the group goes in front", full, {"cpu"}, false, false, cpus + " " + gpus},
      {"a list replaces", full, {"cpu_avx2", "cuda"}, false, false, "cpu_avx2/cpu " + gpus},
      {"a list may name auto", full, {"acme", "auto"}, false, false, "acme/acme0 " + gpus + " " + cpus},
      {"twice is once", full, {"cpu_avx2", "cpu_avx2", "cpu"}, false, false, "cpu_avx2/cpu cpu_avx512/cpu cpu_portable/cpu"},
      {"by id", full, {"org.bitnet-run.cpu-avx2", "com.acme.npu"}, false, false, "cpu_avx2/cpu acme/acme0"},
      {"by device", full, {"0000:02:00.0", "cpu_avx2"}, false, false, "cuda/0000:02:00.0 cpu_avx2/cpu"},
      {"by device, then its plugin's others",
       full,
       {"0000:02:00.0"},
       false,
       false,
       "cuda/0000:02:00.0 cuda/0000:01:00.0 " + cpus},
      {"a named but unusable one is skipped", plain, {"cuda"}, false, false, "cpu_avx2/cpu cpu_portable/cpu"},
      {"first party but not installed is skipped", {kPortable}, {"cuda"}, false, false, "cpu_portable/cpu"},
      {"the mock when named", full, {"mock", "cpu_avx2"}, false, false, "mock/mock cpu_avx2/cpu"},
      {"the mock in front", {kMock, kPortable}, {"mock"}, false, false, "mock/mock cpu_portable/cpu"},
      {"the mock last when allowed", plain, {}, false, true, "cpu_avx2/cpu cpu_portable/cpu mock/mock"},
      {"the mock last of a replaced list", full, {"cuda", "acme"}, false, true, gpus + " acme/acme0 mock/mock"},
      {"the mock named and allowed runs where named", full, {"mock", "acme"}, false, true, "mock/mock acme/acme0"},
      {"only the mock, not allowed", {kMock}, {}, false, false, ""},
      {"only a stranger", {kAcme}, {}, false, false, ""},
      {"strict takes the first", full, {}, true, false, "cuda/0000:01:00.0"},
      {"strict takes the first of the default list that is there", {kPortable, kAvx2}, {}, true, false, "cpu_avx2/cpu"},
      {"strict takes the first named", full, {"acme"}, true, false, "acme/acme0"},
      {"strict takes the first usable of a group", plain, {"cpu"}, true, false, "cpu_avx2/cpu"},
      {"strict passes over what a default list names in vain", {kPortable, kAvx2}, {}, true, false, "cpu_avx2/cpu"},
      {"strict passes over a GPU that is not there", {kNoGpu, kPortable, kAvx2}, {}, true, false, "cpu_avx2/cpu"},
      {"strict never falls back to the mock", {kMock, kPortable}, {"cpu"}, true, true, "cpu_portable/cpu"},
      {"a stranger with our name is not chosen", {kFalseCuda, kPortable}, {}, false, false, "cpu_portable/cpu"},
      {"nor by that name", {kFalseCuda, kPortable}, {"cuda"}, false, false, "cpu_portable/cpu"},
      {"but by its id", {kFalseCuda, kPortable}, {"com.evil.cuda"}, false, false, "cuda/evil cpu_portable/cpu"},
      {"the usable one of two of a name", {kNoAvx512, kAvx512}, {}, false, false, "cpu_avx512/cpu"},
      {"nothing at all", {}, {}, false, false, ""},
  };
  for (const auto& c : cases) {
    OrderOptions options;
    options.strict = c.strict;
    options.allow_mock = c.allow_mock;
    EXPECT_EQ(order_text(order_candidates(c.plugins, c.requested, options)), c.expected) << c.what;
  }
}

TEST(Priority, OfAGpuThatIsNotThereNobodyHearsWhoDidNotAskForIt) {
  const std::string reason = kNoGpu.reason;
  EXPECT_EQ(reason_for(order_candidates({kNoGpu, kPortable}, {}), "cuda"), reason);
  EXPECT_EQ(reason_for(order_candidates({kNoGpu, kPortable}, {"cuda"}), "cuda"), "asked: " + reason);
  EXPECT_EQ(reason_for(order_candidates({kNoCuda, kPortable}, {}), "cuda"), "asked: driver too old");
}

TEST(Priority, CandidatesPointIntoTheFacts) {
  const Order order = order_candidates({kMock, kPortable, kAvx2}, {});
  ASSERT_EQ(order.candidates.size(), 2u);
  EXPECT_EQ(order.candidates[0].plugin, 2u);
  EXPECT_EQ(order.candidates[1].plugin, 1u);
}

TEST(Priority, ConfiguredListReplacesTheDefault) {
  OrderOptions options;
  options.default_list = {"acme", "cpu_portable"};
  const std::vector<BackendFacts> plugins = {kAcme, kPortable, kAvx2};
  EXPECT_EQ(order_text(order_candidates(plugins, {}, options)), "acme/acme0 cpu_portable/cpu");
  EXPECT_EQ(order_text(order_candidates(plugins, {"cpu_avx2"}, options)), "cpu_avx2/cpu acme/acme0 cpu_portable/cpu");
  EXPECT_EQ(reason_for(order_candidates(plugins, {}, options), "cpu_avx2"), "not in the list (acme, cpu_portable)");
}

// Whoever does not run has a reason; "asked" are those the list names.
TEST(Priority, EveryOneLeftOutHasAReason) {
  const std::vector<BackendFacts> plugins = {kMock, kPortable, kNoAvx512, kAvx2, kNoCuda, kAcme};
  Order order = order_candidates(plugins, {});
  EXPECT_EQ(reason_for(order, "cuda"), "asked: driver too old");
  EXPECT_EQ(reason_for(order, "cpu_avx512"), "needs avx512f");
  EXPECT_EQ(reason_for(order, "mock"), "test backend: runs only when named, or last of all with --allow-mock");
  EXPECT_EQ(reason_for(order, "acme"), "not part of this program: runs only when named");
  EXPECT_EQ(order.candidates.size() + order.left_out.size(), plugins.size());

  order = order_candidates(plugins, {"cpu_avx512", "cpu_portable"});
  EXPECT_EQ(reason_for(order, "cpu_avx512"), "asked: needs avx512f");
  EXPECT_EQ(reason_for(order, "cpu_avx2"), "not in the list (cpu_avx512, cpu_portable)");
  EXPECT_EQ(reason_for(order, "cuda"), "driver too old");

  order = order_candidates({kFalseCuda, kPortable}, {});
  EXPECT_EQ(reason_for(order, "cuda"), "not installed");  // of the default list: no failure
  OrderOptions options;
  options.default_list = {"acme"};
  order = order_candidates({kNoAvx512}, {"cpu"}, options);
  EXPECT_EQ(reason_for(order, "cpu_avx512"), "asked: needs avx512f");
  EXPECT_EQ(reason_for(order, "acme"), "not installed");
}

TEST(Priority, OnlyTheGroupsOwnRefusalsBecomeAsked) {
  const std::vector<BackendFacts> plugins = {kPortable, kNoAvx512};
  const Order order = order_candidates(plugins, {"cpu_portable"});  // the group adds nobody new
  EXPECT_EQ(order_text(order), "cpu_portable/cpu");
  EXPECT_EQ(reason_for(order, "cpu_avx512"), "needs avx512f");
}

// Every score's first word is whose it is: {1: avx2, 2: avx512} of {portable, avx2, avx512}.
std::string order_with(const std::vector<Score>& scores) {
  OrderOptions options;
  options.scores = scores;
  return order_text(order_candidates({kPortable, kAvx2, kAvx512}, {}, options));
}

TEST(Priority, TheGroupIsOrderedByScores) {
  const std::string fixed = "cpu_avx512/cpu cpu_avx2/cpu cpu_portable/cpu";
  const auto score = [](size_t plugin, double speed, bool crashed = false) { return Score{plugin, "cpu", speed, 1, crashed}; };
  EXPECT_EQ(order_with({}), fixed);
  EXPECT_EQ(order_with({score(0, 3), score(1, 2), score(2, 1)}), "cpu_portable/cpu cpu_avx2/cpu cpu_avx512/cpu");
  EXPECT_EQ(order_with({score(0, 1), score(1, 20), score(2, 10)}), "cpu_avx2/cpu cpu_avx512/cpu cpu_portable/cpu");
  EXPECT_EQ(order_with({score(1, 20), score(2, 19.5), score(0, 1)}), fixed) << "within 5 %: a tie";
  EXPECT_EQ(order_with({score(1, 20), score(2, 18), score(0, 1)}), "cpu_avx2/cpu cpu_avx512/cpu cpu_portable/cpu");
  EXPECT_EQ(order_with({score(0, 1)}), "cpu_portable/cpu cpu_avx512/cpu cpu_avx2/cpu") << "unmeasured ones follow";
  EXPECT_EQ(order_with({score(0, 1), score(1, 9, true)}), "cpu_portable/cpu cpu_avx512/cpu cpu_avx2/cpu") << "crashed ones end";
  EXPECT_EQ(order_with({score(0, 0, true), score(1, 0, true), score(2, 0, true)}), fixed);
}

TEST(Priority, OnlyAGroupThatDecidesIsMeasured) {
  const auto measured = [](const Strings& requested, std::vector<BackendFacts> plugins = {kPortable, kAvx2, kMock}) {
    std::string names;
    for (const Candidate& c : order_to_measure(plugins, requested, {})) names += c.name + " ";
    return names;
  };
  EXPECT_EQ(measured({}), "cpu_avx2 cpu_portable ");
  EXPECT_EQ(measured({"cpu"}), "cpu_avx2 cpu_portable ");
  EXPECT_EQ(measured({"cuda"}), "cpu_avx2 cpu_portable ");
  EXPECT_EQ(measured({"cpu_portable"}), "") << "the user has decided";
  EXPECT_EQ(measured({"cpu_portable", "cpu_avx2"}), "");
  EXPECT_EQ(measured({"mock"}), "");
  EXPECT_EQ(measured({}, {kPortable, kNoAvx512}), "") << "nothing to choose";
}

TEST(Priority, OptionsAndRefusalsAreVetoes) {
  BackendFacts approx = kAvx2, exact = kPortable, mock = kMock;
  approx.numerics = "approx-1";
  exact.numerics = mock.numerics = "exact-1";
  const std::vector<BackendFacts> plugins = {approx, exact, kCuda, mock};
  OrderOptions options;
  options.deterministic = true;
  Order order = order_candidates(plugins, {}, options);
  EXPECT_EQ(order_text(order), "cpu_portable/cpu");
  EXPECT_EQ(reason_for(order, "cpu_avx2"), "is not exact-1, and --deterministic asks for it");
  options = {};
  options.no_gpu = options.real_model = true;
  order = order_candidates(plugins, {"mock", "cuda", "cpu"}, options);
  EXPECT_EQ(order_text(order), "cpu_avx2/cpu cpu_portable/cpu");
  EXPECT_EQ(reason_for(order, "cuda"), "asked: -ngl 0 asks for no GPU");
  EXPECT_EQ(reason_for(order, "mock"), "asked: is a mock, and --real-model forbids it");
  options = {};
  options.refusals = {{2, "0000:01:00.0", "too small"}, {0, "cpu", "does not take 7x7"}};
  order = order_candidates(plugins, {}, options);
  EXPECT_EQ(order_text(order), "cuda/0000:02:00.0 cpu_portable/cpu");
  EXPECT_EQ(reason_for(order, "cpu_avx2"), "does not take 7x7");
}

void expect_error(const std::vector<BackendFacts>& plugins, const Strings& requested, bool strict, ErrorKind kind,
                  const std::string& message) {
  OrderOptions options;
  options.strict = strict;
  try {
    order_candidates(plugins, requested, options);
    FAIL() << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    EXPECT_EQ(error.what(), message);
  }
}

TEST(Priority, UnknownNamesAreUsageErrors) {
  const std::vector<BackendFacts> plugins = {kPortable, kNoCuda};
  const std::string known = "; known are auto, cpu, cpu_portable, cuda";
  expect_error(plugins, {"gpu"}, false, ErrorKind::kUsage, "unknown backend 'gpu'" + known);
  expect_error(plugins, {"cpu", "CPU\n"}, false, ErrorKind::kUsage, "unknown backend 'CPU\\n'" + known);
  expect_error(plugins, {"mock"}, false, ErrorKind::kUsage, "unknown backend 'mock'" + known);
}

TEST(Priority, StrictSaysWhyTheFirstCannotRun) {
  const std::string end = "; --no-fallback allows only the first backend of the list (cuda)";
  expect_error({kPortable, kNoCuda}, {"cuda"}, true, ErrorKind::kNoBackend, "no usable backend: cuda (driver too old)" + end);
  expect_error({kPortable, kNoCuda}, {}, true, ErrorKind::kNoBackend, "no usable backend: cuda (driver too old)" + end);
  expect_error({kPortable}, {"tpu"}, true, ErrorKind::kUsage, "unknown backend 'tpu'; known are auto, cpu, cpu_portable");
}

TEST(Priority, NoBackendMessageNamesTheAskedOnes) {
  EXPECT_EQ(no_backend_message(order_candidates({kNoCuda, kNoAvx512, kMock}, {})),
            "no usable backend: cuda (driver too old), cpu_avx512 (needs avx512f)");
  EXPECT_EQ(no_backend_message(order_candidates({}, {"cpu"})), "no usable backend: cpu (no CPU plugin is installed)");
  EXPECT_EQ(
      no_backend_message(order_candidates({kMock}, {}, {.default_list = {"acme"}})),
      "no usable backend: acme (not installed), mock (test backend: runs only when named, or last of all with --allow-mock)");
}

}  // namespace
}  // namespace bitnet::backend
