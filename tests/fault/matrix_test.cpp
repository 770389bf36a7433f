// fault/matrix_test.cpp - every fault kind at every place of a generation, in a chain of three backends: the text, the tokens
// and the logits are those of the undisturbed run.
//
// The chain is mock, moc2 (the mock under a second name) and cpu_portable. Both mocks play the same script, so a place that a
// replay passes again strikes twice: then two backends fail and the third one finishes.
#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "fault/second_mock.h"
#include "support/program.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
const bool kShared = share_cache();

constexpr int kTokens = 12;

struct Text {
  const char* name;
  std::vector<std::string> args;
};
const std::vector<Text>& texts() {
  static const std::vector<Text> list = {
      {"greedy", {"-p", "Once upon a time", "-n", std::to_string(kTokens), "--greedy", "--ignore-eos", "-t", "1"}},
      {"sampled",
       {"-p", "One day a dog", "-n", std::to_string(kTokens), "--seed", "11", "--temp", "0.9", "--ignore-eos", "-t", "1"}}};
  return list;
}

// Where a fault strikes, and what the first record of a fallback says about it.
struct Place {
  const char* point;  // with its count, as a rule begins
  const char* stage;
  int at_token;
  size_t failures;  // backends that fail there. The logits of the second mock's replay are its token 1, so it counts anew
};
constexpr Place kLoad = {"load=", "load", 0, 2};
constexpr Place kWhileRunning[] = {{"prefill=", "prefill", 0, 2},
                                   {"token@1=", "prefill", 0, 2},
                                   {"token@6=", "decode", 5, 2},
                                   {"token@12=", "decode", 11, 1}};  // the last one

struct Kind {
  const char* name;
  const char* action;
  bool at_load, while_running;
  bool is_failure = true;  // slow is none: the backend goes on
  bool ends_process = false;
};
constexpr Kind kKinds[] = {{"lost", "lost", true, true},
                           {"throw", "throw", true, true},
                           {"oom", "oom", true, true},
                           {"internal", "error:internal", true, true},
                           {"busy", "error:busy", true, true},
                           {"data", "error:data", true, true},
                           {"nan", "nan", false, true},
                           {"slow", "slow:5", true, true, false},
                           {"segfault", "segfault", true, true, true, true},
                           {"exit", "exit:0", true, true, true, true}};

json run(const std::vector<std::string>& text, std::vector<std::string> more) {
  std::vector<std::string> args = text;
  args.insert(args.end(), more.begin(), more.end());
  args.push_back("--json");
  const ProgramResult result = run_program(args);
  EXPECT_EQ(result.exit_code, 0) << result;
  return json::parse(result.out, nullptr, false);
}

const json& undisturbed(size_t text) {
  static std::map<size_t, json> known;
  if (!known.contains(text)) known[text] = run(texts()[text].args, {"--backend", "cpu_portable", "--no-fallback"});
  return known[text];
}

const std::string& second_mock() {
  static const TempFolder folder;
  static const std::string path = make_other_mock(folder, "moc2");
  return path;
}

struct Fault {
  std::string name, tier, script;
  Place place;
  size_t failures;
  std::string chain = "mock,moc2,cpu_portable";
  std::vector<std::string> more = {};  // options of the run
  bool tried_again = false;            // the same backend once more, smaller: it may get past the fault
  bool may_forget = false;             // tokens of a call that never returned are not known: the record may name an earlier one
};

void expect_undisturbed_text(const Fault& fault, size_t n_texts = texts().size()) {
  for (size_t text = 0; text < n_texts; ++text) {
    SCOPED_TRACE(fault.script + " in tier " + fault.tier + ", " + texts()[text].name);
    const json& expected = undisturbed(text);
    ASSERT_EQ(expected["tokens"].size(), static_cast<size_t>(kTokens));
    std::vector<std::string> args = {"--plugin", second_mock(), "--backend", fault.chain, "--mock-mode", "faithful"};
    args.insert(args.end(), {"--mock-tier", fault.tier, "--mock-faults", fault.script});
    args.insert(args.end(), fault.more.begin(), fault.more.end());
    const json got = run(texts()[text].args, args);
    EXPECT_EQ(got["tokens"], expected["tokens"]);
    EXPECT_EQ(got["text"], expected["text"]);
    EXPECT_EQ(got["logits_hash"], expected["logits_hash"]);
    const json& records = got["fallback"];
    if (fault.tried_again) {
      EXPECT_LE(records.size(), fault.failures) << records;
      continue;
    }
    ASSERT_EQ(records.size(), fault.failures) << records;
    if (fault.failures == 0) continue;
    EXPECT_EQ(records[0]["from"], "mock");
    EXPECT_EQ(records[0]["stage"], fault.place.stage);
    EXPECT_LE(records[0]["at_token"], fault.place.at_token);
    if (!fault.may_forget) {
      EXPECT_EQ(records[0]["at_token"], fault.place.at_token);
    }
    EXPECT_FALSE(records[0]["reason"].get<std::string>().empty());
    EXPECT_EQ(got["backend"]["name"], records.back()["to"]);
  }
}

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class Matrix : public testing::TestWithParam<std::tuple<Kind, std::string>> {};

TEST_P(Matrix, TextIsTheUndisturbedOneWhereverItStrikes) {
  const auto& [kind, tier] = GetParam();
  std::vector<Place> places;
  if (kind.at_load) places.push_back(kLoad);
  if (kind.while_running) places.insert(places.end(), std::begin(kWhileRunning), std::end(kWhileRunning));
  for (const Place& place : places) {
    Fault fault{kind.name, tier, std::string(place.point) + kind.action, place, kind.is_failure ? place.failures : 0};
    fault.tried_again = fault.name == "oom";
    // A second backend that rejects the data, or has unusable numbers, is taken for a bad model: the real one comes second.
    if (fault.name == "nan" || fault.name == "data") {
      fault.chain = "mock,cpu_portable,moc2";
      fault.failures = 1;
    }
    if (kind.ends_process) {
      fault.more = {"--isolate-backend"};
      fault.may_forget = true;
    }
    expect_undisturbed_text(fault);
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, Matrix, testing::Combine(testing::ValuesIn(kKinds), testing::Values("kernels", "engine")),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).name) + "_" + std::get<1>(test.param);
                         });

// A wrong number is found where the runtime compares: the self-test at load, of the kernels tier.
TEST(FaultMatrix, WrongKernelsAreFoundAtLoad) { expect_undisturbed_text({"wrong", "kernels", "matmul@3=wrong", kLoad, 2}); }

// Each costs the limit and a second of waiting for the call to end, so this part of the matrix is a sample.
class Hang : public testing::TestWithParam<std::string> {};

TEST_P(Hang, TextIsTheUndisturbedOne) {
  for (const Place& place : {kWhileRunning[0], kWhileRunning[2], kWhileRunning[3]}) {
    Fault fault{"hang", GetParam(), std::string(place.point) + "hang", place, 1};
    fault.chain = "mock,cpu_portable,moc2";
    fault.more = {"--hang-limit", "1.2"};
    fault.may_forget = true;
    expect_undisturbed_text(fault, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Tiers, Hang, testing::Values("kernels", "engine"), [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bitnet::test
