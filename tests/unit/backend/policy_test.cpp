// unit/backend/policy_test.cpp - what follows which failure, as a table: list, history, answer; and the whole picture with
// reasons.
#include "backend/policy.h"

#include <gtest/gtest.h>

namespace bitnet::backend {
namespace {

using Strings = std::vector<std::string>;

BackendFacts fact(std::string name, std::string kind, Strings devices, Strings tiers = {"kernels"}) {
  const std::string id = (name.starts_with("acme") ? "com.acme." : "org.bitnet-run.") + name;
  return {std::move(name), id, std::move(kind), true, "", std::move(devices), "exact-1", std::move(tiers)};
}
const BackendFacts kPortable = fact("cpu_portable", "cpu", {"cpu"});
const BackendFacts kAvx2 = fact("cpu_avx2", "cpu", {"cpu"});
const BackendFacts kCuda = fact("cuda", "gpu", {"0000:01:00.0", "0000:02:00.0"}, {"engine"});
const BackendFacts kAcmeGpu = fact("acme_gpu", "gpu", {"0000:01:00.0"}, {"engine"});
const BackendFacts kAcmeBoth = fact("acme_npu", "npu", {"npu0"}, {"kernels", "engine"});
const BackendFacts kMock = fact("mock", "test", {"mock"}, {"kernels", "engine"});

// A failure as "name/device code [stage] [smaller]".
struct Failed {
  const char* name;
  const char* device;
  bn_status code;
  Stage stage = Stage::kLoad;
  bool smaller = false;
  const char* tier = "";
};

std::string name_of(const Decision& d) {
  if (d.next == Next::kEnd) return "end: " + d.message;
  return d.candidate.name + "/" + d.candidate.device + (d.candidate.tier.empty() ? "" : " " + d.candidate.tier) +
         (d.next == Next::kUseSmaller ? " smaller" : "");
}

// The failures in terms of the candidates that the input gives.
History history_of(const PolicyInput& input, const std::vector<Failed>& failures) {
  OrderOptions options = input.options;
  options.strict = false;
  const Order order = order_candidates(input.plugins, input.requested, options);
  History history;
  for (const Failed& f : failures) {
    for (const Candidate& c : order.candidates) {
      if (c.name != f.name || c.device != f.device || c.tier != f.tier) continue;
      history.push_back({c, f.code, f.stage, "it said no", f.smaller});
    }
  }
  EXPECT_EQ(history.size(), failures.size()) << "a failure names no candidate";
  return history;
}

PolicyInput chain(bool strict = false, bool allow_mock = false) {
  PolicyInput input;
  input.plugins = {kPortable, kAvx2, kCuda, kMock};
  input.options.strict = strict;
  input.options.allow_mock = allow_mock;
  return input;
}

constexpr const char *kGpu0 = "0000:01:00.0", *kGpu1 = "0000:02:00.0";

TEST(Policy, WhatFollowsEachStatus) {
  const struct {
    const char* what;
    std::vector<Failed> failures;
    std::string expected;
  } cases[] = {
      {"nothing yet", {}, "cuda/0000:01:00.0"},
      {"unsupported: next", {{"cuda", kGpu0, BN_E_UNSUPPORTED}}, "cuda/0000:02:00.0"},
      {"lost: the other device", {{"cuda", kGpu0, BN_E_DEVICE_LOST, Stage::kDecode}}, "cuda/0000:02:00.0"},
      {"both lost", {{"cuda", kGpu0, BN_E_DEVICE_LOST}, {"cuda", kGpu1, BN_E_INTERNAL}}, "cpu_avx2/cpu"},
      {"an unknown status is as bad as the worst", {{"cuda", kGpu0, 77}}, "cuda/0000:02:00.0"},
      {"no memory: smaller", {{"cuda", kGpu0, BN_E_NO_MEMORY}}, "cuda/0000:01:00.0 smaller"},
      {"no memory, smaller too: next",
       {{"cuda", kGpu0, BN_E_NO_MEMORY}, {"cuda", kGpu0, BN_E_NO_MEMORY, Stage::kLoad, true}},
       "cuda/0000:02:00.0"},
      {"smaller, then lost: next",
       {{"cuda", kGpu0, BN_E_NO_MEMORY}, {"cuda", kGpu0, BN_E_DEVICE_LOST, Stage::kDecode, true}},
       "cuda/0000:02:00.0"},
      {"busy: next now", {{"cuda", kGpu0, BN_E_BUSY}}, "cuda/0000:02:00.0"},
      {"busy comes back when no real one is left",
       {{"cuda", kGpu0, BN_E_BUSY},
        {"cuda", kGpu1, BN_E_DEVICE_LOST},
        {"cpu_avx2", "cpu", BN_E_INTERNAL},
        {"cpu_portable", "cpu", BN_E_UNSUPPORTED}},
       "cuda/0000:01:00.0"},
      {"but only once",
       {{"cuda", kGpu0, BN_E_BUSY},
        {"cuda", kGpu1, BN_E_DEVICE_LOST},
        {"cpu_avx2", "cpu", BN_E_INTERNAL},
        {"cpu_portable", "cpu", BN_E_UNSUPPORTED},
        {"cuda", kGpu0, BN_E_BUSY}},
       "end: no usable backend is left: cuda: it said no; cpu_avx2: it said no; cpu_portable: it said no"},
      {"data: another plugin, not its other device", {{"cuda", kGpu0, BN_E_DATA}}, "cpu_avx2/cpu"},
      {"data twice: the model",
       {{"cuda", kGpu0, BN_E_DATA}, {"cpu_avx2", "cpu", BN_E_DATA}},
       "end: two backends reject the model's data: cuda: it said no; cpu_avx2: it said no"},
      {"data, then something else", {{"cuda", kGpu0, BN_E_DATA}, {"cpu_avx2", "cpu", BN_E_INTERNAL}}, "cpu_portable/cpu"},
      {"invalid at load: a wrong option", {{"cuda", kGpu0, BN_E_INVALID}}, "end: backend cuda: it said no"},
      {"invalid later: a bug",
       {{"cuda", kGpu0, BN_E_INVALID, Stage::kPrefill}},
       "end: backend cuda: it said no; this is a bug, please report it"},
      {"cancelled", {{"cuda", kGpu0, BN_E_CANCELLED, Stage::kDecode}}, "end: stopped"},
      {"timeout", {{"cuda", kGpu0, BN_E_TIMEOUT, Stage::kDecode}}, "end: backend cuda: it said no"},
  };
  for (const auto& c : cases) {
    const PolicyInput input = chain();
    EXPECT_EQ(name_of(next_candidate(input, history_of(input, c.failures))), c.expected) << c.what;
  }
}

TEST(Policy, TheEndSaysWhatKindOfErrorItIs) {
  const PolicyInput input = chain();
  const auto kind = [&](std::vector<Failed> failures) {
    const Decision d = next_candidate(input, history_of(input, failures));
    EXPECT_EQ(d.next, Next::kEnd);
    return d.error;
  };
  EXPECT_EQ(kind({{"cuda", kGpu0, BN_E_INVALID}}), ErrorKind::kUsage);
  EXPECT_EQ(kind({{"cuda", kGpu0, BN_E_INVALID, Stage::kDecode}}), ErrorKind::kFailure);
  EXPECT_EQ(kind({{"cuda", kGpu0, BN_E_DATA}, {"cpu_avx2", "cpu", BN_E_DATA}}), ErrorKind::kInvalidModel);
  EXPECT_EQ(kind({{"cuda", kGpu0, BN_E_CANCELLED}}), ErrorKind::kInterrupted);
  EXPECT_EQ(kind({{"cuda", kGpu0, BN_E_TIMEOUT}}), ErrorKind::kTimeLimit);
  EXPECT_EQ(next_candidate(PolicyInput{}, {}).error, ErrorKind::kNoBackend);
}

TEST(Policy, StrictEndsAfterTheFirstBackend) {
  const PolicyInput input = chain(true);
  EXPECT_EQ(name_of(next_candidate(input, {})), "cuda/0000:01:00.0");
  EXPECT_EQ(name_of(next_candidate(input, history_of(input, {{"cuda", kGpu0, BN_E_NO_MEMORY}}))), "cuda/0000:01:00.0 smaller");
  for (const bn_status code : {BN_E_UNSUPPORTED, BN_E_BUSY, BN_E_DEVICE_LOST}) {
    EXPECT_EQ(name_of(next_candidate(input, history_of(input, {{"cuda", kGpu0, code}}))),
              "end: no usable backend is left: cuda: it said no (--no-fallback allows only the first)");
  }
  // Also for an order with more than one candidate.
  PolicyInput lenient = chain();
  const Order order = order_candidates(lenient.plugins, {}, lenient.options);
  EXPECT_EQ(next_candidate(order, true, history_of(lenient, {{"cuda", kGpu0, BN_E_UNSUPPORTED}})).next, Next::kEnd);
}

TEST(Policy, TheMockIsTheLastResort) {
  PolicyInput input = chain(false, true);
  input.options.no_gpu = true;
  std::vector<Failed> failures = {{"cpu_avx2", "cpu", BN_E_BUSY}, {"cpu_portable", "cpu", BN_E_INTERNAL}};
  EXPECT_EQ(name_of(next_candidate(input, history_of(input, failures))), "cpu_avx2/cpu") << "a busy real one comes first";
  failures.push_back({"cpu_avx2", "cpu", BN_E_BUSY});
  const Decision d = next_candidate(input, history_of(input, failures));
  EXPECT_EQ(name_of(d), "mock/mock");
  EXPECT_EQ(d.reason, "allowed with --allow-mock, last of all");
}

TEST(Policy, EngineTierBeforeKernelsTierOfOneDevice) {
  PolicyInput input;
  input.plugins = {kAcmeBoth, kPortable};
  input.requested = {"acme_npu"};
  EXPECT_EQ(name_of(next_candidate(input, {})), "acme_npu/npu0 engine");
  const auto after = [&](bn_status code) {
    return name_of(next_candidate(input, history_of(input, {{"acme_npu", "npu0", code, Stage::kLoad, false, "engine"}})));
  };
  EXPECT_EQ(after(BN_E_UNSUPPORTED), "acme_npu/npu0 kernels");
  EXPECT_EQ(after(BN_E_DEVICE_LOST), "cpu_portable/cpu") << "the tiers share the device";
}

TEST(Policy, OnePieceOfHardwareOfTwoPlugins) {
  PolicyInput input;
  input.plugins = {kAcmeGpu, kCuda, kPortable};
  input.requested = {"cuda", "acme_gpu", "cpu"};
  const Decision first = next_candidate(input, {});
  EXPECT_EQ(name_of(first), "cuda/0000:01:00.0") << "the first of the list";
  EXPECT_EQ(first.considered[2].reason, "named; the same hardware as one before it");
  std::vector<Failed> failures = {{"cuda", kGpu0, BN_E_UNSUPPORTED}, {"cuda", kGpu1, BN_E_UNSUPPORTED}};
  EXPECT_EQ(name_of(next_candidate(input, history_of(input, failures))), "acme_gpu/0000:01:00.0");
  failures[0].code = BN_E_DEVICE_LOST;
  EXPECT_EQ(name_of(next_candidate(input, history_of(input, failures))), "cpu_portable/cpu");
  // "cpu" is no PCI id: two plugins of that device do not share a fate.
  input.plugins = {kAvx2, kPortable};
  input.requested = {"cpu"};
  EXPECT_EQ(name_of(next_candidate(input, history_of(input, {{"cpu_avx2", "cpu", BN_E_INTERNAL}}))), "cpu_portable/cpu");
}

std::string picture(const Decision& d) {
  std::string text;
  for (const Considered& c : d.considered) {
    text += c.name + (c.device.empty() ? "" : "/" + c.device) + ": " + standing_name(c.standing) + " (" + c.reason + ")\n";
  }
  return text;
}

TEST(Policy, EverybodyHasAVerdictAndAReason) {
  const PolicyInput input = chain();
  EXPECT_EQ(picture(next_candidate(input, history_of(input, {{"cuda", kGpu0, BN_E_DATA, Stage::kDecode}}))),
            "cuda/0000:01:00.0: failed (failed in decode: it said no)\n"
            "cuda/0000:02:00.0: excluded (the plugin rejected the model's data)\n"
            "cpu_avx2/cpu: chosen (not measured)\n"
            "cpu_portable/cpu: waiting (not measured)\n"
            "mock: left out (test backend: runs only when named, or last of all with --allow-mock)\n");
}

}  // namespace
}  // namespace bitnet::backend
