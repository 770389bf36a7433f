// kernel/mock_grammar_test.cpp - the mock's fault grammar, options and devices.
#include <algorithm>
#include <cfenv>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <stdexcept>

#include "faults.h"
#include "kernel/elf_file.h"
#include "kernel/mock_plugin.h"

namespace bitnet::mock_test {
namespace {

using bn_mock::Action;
using bn_mock::parse_faults;
using bn_mock::Point;
using bn_mock::Rule;

std::string complaint(const std::string& script) {
  try {
    parse_faults(script);
    return "";
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
}

testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << part << "' is not in: " << text;
}

TEST(MockGrammar, EmptyScriptHasNoRules) {
  EXPECT_TRUE(parse_faults("").empty());
  EXPECT_TRUE(parse_faults("  \n").empty());
}

TEST(MockGrammar, EveryFormOfWhen) {
  const std::vector<Rule> rules = parse_faults("load=oom; matmul@3=wrong ;token@17+=lost;norm@2-5=nan");
  constexpr uint64_t kEver = std::numeric_limits<uint64_t>::max();
  ASSERT_EQ(rules.size(), 4u);
  const struct {
    Point point;
    uint64_t first, last;
    Action action;
    const char* text;
  } expected[] = {{Point::kLoad, 1, kEver, Action::kOom, "load=oom"},
                  {Point::kMatmul, 3, 3, Action::kWrong, "matmul@3=wrong"},
                  {Point::kToken, 17, kEver, Action::kLost, "token@17+=lost"},
                  {Point::kNorm, 2, 5, Action::kNan, "norm@2-5=nan"}};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(rules[i].point, expected[i].point);
    EXPECT_EQ(rules[i].first, expected[i].first);
    EXPECT_EQ(rules[i].last, expected[i].last);
    EXPECT_EQ(rules[i].action, expected[i].action);
    EXPECT_EQ(rules[i].text, expected[i].text);
  }
}

TEST(MockGrammar, EveryPointIsKnown) {
  for (int p = 0; p < bn_mock::kPoints; ++p) {
    const std::string name = bn_mock::name_of(static_cast<Point>(p));
    const std::vector<Rule> rules = parse_faults(name + "=slow:1");
    ASSERT_EQ(rules.size(), 1u) << name;
    EXPECT_EQ(rules[0].point, static_cast<Point>(p)) << name;
  }
}

TEST(MockGrammar, EveryActionIsKnown) {
  const struct {
    const char* text;
    Action action;
    int64_t arg;
  } expected[] = {{"error:busy", Action::kError, BN_E_BUSY},
                  {"error:9", Action::kError, BN_E_INTERNAL},
                  {"error:device_lost", Action::kError, BN_E_DEVICE_LOST},
                  {"throw", Action::kThrow, -1},
                  {"segv", Action::kSegv, -1},
                  {"abort", Action::kAbort, -1},
                  {"exit:3", Action::kExit, 3},
                  {"hang", Action::kHang, -1},
                  {"hang:20", Action::kHang, 20},
                  {"slow:7", Action::kSlow, 7},
                  {"lost", Action::kLost, -1},
                  {"oom", Action::kOom, -1},
                  {"wrong", Action::kWrong, -1},
                  {"nan", Action::kNan, -1},
                  {"segfault", Action::kSegv, -1},
                  {"oob", Action::kOob, -1},
                  {"print", Action::kPrint, -1},
                  {"leak", Action::kLeak, 1024},
                  {"leak:16", Action::kLeak, 16},
                  {"thread", Action::kThread, -1},
                  {"fpmode", Action::kFpmode, -1}};
  for (const auto& e : expected) {
    const std::vector<Rule> rules = parse_faults(std::string("matmul=") + e.text);
    ASSERT_EQ(rules.size(), 1u) << e.text;
    EXPECT_EQ(rules[0].action, e.action) << e.text;
    EXPECT_EQ(rules[0].arg, e.arg) << e.text;
  }
}

TEST(MockGrammar, UnknownWordsAreNamedWithWhatIsKnown) {
  EXPECT_TRUE(contains(complaint("tokn@17=lost"), "unknown point 'tokn'"));
  EXPECT_TRUE(contains(complaint("tokn@17=lost"), "prefill, token"));
  EXPECT_TRUE(contains(complaint("load=lose"), "unknown action 'lose'"));
  EXPECT_TRUE(contains(complaint("load=lose"), "lost, oom"));
  EXPECT_TRUE(contains(complaint("load=error:bussy"), "unknown status 'bussy'"));
  EXPECT_TRUE(contains(complaint("load=error:bussy"), "no_memory"));
  EXPECT_TRUE(contains(complaint("load=oom;x=lost"), "fault rule 'x=lost'"));
}

TEST(MockGrammar, MalformedRulesAreRefused) {
  for (const char* script : {"load",
                             "load=",
                             "=oom",
                             ";",
                             "load=oom;",
                             "load=oom;;load=oom",
                             "load@=oom",
                             "load@0=oom",
                             "load@-3=oom",
                             "load@5-3=oom",
                             "load@x=oom",
                             "load@3-=oom",
                             "load@3+5=oom",
                             "load@1.5=oom",
                             "load@99999999999999999999=oom",
                             "load=oom:3",
                             "load=lost:",
                             "load=error",
                             "load=error:",
                             "load=error:0",
                             "load=error:10",
                             "load=error:ok",
                             "load=exit",
                             "load=exit:256",
                             "load=exit:-1",
                             "load=slow",
                             "load=slow:x",
                             "load=hang:",
                             "load@1@2=oom",
                             "load=oom=lost",
                             "load@~=oom",
                             "load@~0.5=oom",
                             "load@~0.5/=oom",
                             "load@~0/7=oom",
                             "load@~1.1/7=oom",
                             "load@~-0.5/7=oom",
                             "load@~nan/7=oom",
                             "load@~0.5/-7=oom",
                             "load@~0.5/7+=oom",
                             "load=leak:0",
                             "load=leak:",
                             "load=print:3",
                             "load=segfault:1",
                             "LOAD=oom"}) {
    EXPECT_NE(complaint(script), "") << script;
  }
}

TEST(MockGrammar, RulesThatCannotDoWhatTheySayAreRefused) {
  for (const char* script :
       {"load=wrong", "open=nan", "enumerate=wrong", "accepts=nan", "pack=wrong", "session=nan", "truncate=wrong", "fit=oob",
        "load=oob", "close=oob", "close=lost", "close=error:busy", "close=throw", "close=oom", "decode=nan"}) {
    EXPECT_NE(complaint(script), "") << script;
  }
}

TEST(MockGrammar, CountsAndRanges) {
  bn_mock::Faults faults(parse_faults("glu@2=oom;glu@4-5=error:data;glu@7+=error:busy"));
  std::vector<bn_status> answers;
  for (int i = 0; i < 8; ++i) answers.push_back(faults.at(Point::kGlu).status);
  EXPECT_EQ(answers, (std::vector<bn_status>{BN_OK, BN_E_NO_MEMORY, BN_OK, BN_E_DATA, BN_E_DATA, BN_OK, BN_E_BUSY, BN_E_BUSY}));
  EXPECT_EQ(faults.at(Point::kNorm).status, BN_OK);
}

std::vector<uint64_t> strikes(const std::string& script, uint64_t counts) {
  const Rule rule = parse_faults(script).at(0);
  std::vector<uint64_t> list;
  for (uint64_t n = 1; n <= counts; ++n) {
    if (rule.strikes(n)) list.push_back(n);
  }
  return list;
}

TEST(MockGrammar, ChanceIsAFunctionOfSeedAndCount) {
  const std::vector<uint64_t> seven = strikes("token@~0.05/7=lost", 2000);
  EXPECT_GT(seven.size(), 60u);
  EXPECT_LT(seven.size(), 140u);
  EXPECT_EQ(strikes("matmul@~0.05/7=oom", 2000), seven) << "whatever the point and the action";
  EXPECT_NE(strikes("token@~0.05/8=lost", 2000), seven);
  EXPECT_EQ(strikes("token@~1/7=lost", 50).size(), 50u);
  // What struck with a small chance strikes with a larger one.
  const std::vector<uint64_t> more = strikes("token@~0.2/7=lost", 2000);
  EXPECT_TRUE(std::includes(more.begin(), more.end(), seven.begin(), seven.end()));
  EXPECT_EQ((std::vector<uint64_t>{seven.begin(), seven.begin() + 4}), (std::vector<uint64_t>{2, 8, 13, 15})) << "by Philox";
}

TEST(MockGrammar, LostIsSticky) {
  bn_mock::Faults faults(parse_faults("norm@2=lost"));
  EXPECT_EQ(faults.at(Point::kGlu).status, BN_OK);
  EXPECT_EQ(faults.at(Point::kNorm).status, BN_OK);
  EXPECT_EQ(faults.at(Point::kNorm).status, BN_E_DEVICE_LOST);
  EXPECT_EQ(faults.at(Point::kNorm).status, BN_E_DEVICE_LOST);
  EXPECT_EQ(faults.at(Point::kGlu).status, BN_E_DEVICE_LOST);
}

TEST(MockGrammar, StepsNumberTheGeneratedTokens) {
  bn_mock::Steps steps;
  EXPECT_EQ(steps.see(0, 5).token, 1u);
  EXPECT_TRUE(steps.see(5, 3).is_prefill);  // rest of a prompt of 8
  EXPECT_FALSE(steps.see(5, 3).is_new);
  const auto first = steps.see(8, 1);
  EXPECT_TRUE(first.is_new);
  EXPECT_FALSE(first.is_prefill);
  EXPECT_EQ(first.token, 2u);
  EXPECT_FALSE(steps.see(8, 1).is_new);
  EXPECT_EQ(steps.see(9, 1).token, 3u);
  EXPECT_EQ(steps.following(10), 3u);
  EXPECT_TRUE(steps.see(0, 1).is_prefill);  // a new sequence of one token
  EXPECT_EQ(steps.see(1, 1).token, 2u);
}

TEST(MockPlugin, ExportsOneSymbolAndSaysWhatItIs) {
  const kernel_test::ElfFile file = kernel_test::read_elf(BITNET_PLUGIN_DIR "/bn_mock.so");
  EXPECT_EQ(file.exported, std::vector<std::string>{"bitnet_plugin_v1"});
  EXPECT_TRUE(contains(file.manifest, R"("kind": "test")"));
  EXPECT_TRUE(contains(file.manifest, R"("id": "org.bitnet-run.mock")"));
  EXPECT_TRUE(contains(file.manifest, R"("name": "mock")"));
}

TEST(MockPlugin, HasOneTestDevice) {
  bn_device_info info = {};
  info.struct_size = sizeof info;
  bn_error error = empty_error();
  ASSERT_EQ(mock().enumerate(nullptr, 0, &info, &error), BN_OK) << error.message;
  EXPECT_EQ(info.kind, static_cast<uint32_t>(BN_DEV_TEST));
  EXPECT_TRUE(contains(info.name, "mock"));
  EXPECT_EQ(mock().enumerate(nullptr, 1, &info, &error), BN_E_UNSUPPORTED);
  EXPECT_STREQ(error.message, "one device");
  bn_device* device = nullptr;
  EXPECT_EQ(mock().open(nullptr, "gpu0", nullptr, &device, &error), BN_E_INVALID);
  EXPECT_TRUE(contains(error.message, "gpu0"));
}

TEST(MockPlugin, ModeDecidesTheInterface) {
  for (const char* options : {"{}", R"({"mode": "canned"})"}) {
    const Device device = open_mock(options);
    EXPECT_EQ(mock().get_interface(device.get(), BN_KERNELS_ID), nullptr) << options;
    EXPECT_NE(mock().get_interface(device.get(), BN_ENGINE_ID), nullptr) << options;
  }
  for (const char* options : {R"({"mode": "faithful"})", R"({"mode": "faithful", "tier": "kernels"})"}) {
    const Device faithful = open_mock(options);
    EXPECT_NE(mock().get_interface(faithful.get(), BN_KERNELS_ID), nullptr) << options;
    EXPECT_EQ(mock().get_interface(faithful.get(), BN_ENGINE_ID), nullptr) << options;
  }
  const Device engine = open_mock(R"({"mode": "faithful", "tier": "engine"})");
  EXPECT_EQ(mock().get_interface(engine.get(), BN_KERNELS_ID), nullptr);
  EXPECT_NE(mock().get_interface(engine.get(), BN_ENGINE_ID), nullptr);
}

TEST(MockPlugin, BadOptionsAreRefusedWithAReason) {
  EXPECT_TRUE(contains(refusal(R"({"mode": "faithfull"})"), "faithfull"));
  EXPECT_TRUE(contains(refusal(R"({"mode": 3})"), "mode"));
  EXPECT_TRUE(contains(refusal(R"({"mode": "faithful", "tier": "engines"})"), "engines"));
  EXPECT_TRUE(contains(refusal(R"({"tier": "kernels"})"), "canned"));
  EXPECT_TRUE(contains(refusal(R"({"mode": "faithful", "wrap": 3})"), "wrap"));
  EXPECT_TRUE(contains(refusal(R"({"mode": "faithful", "wrap": "bn_x.so"})"), "absolute path"));
  EXPECT_TRUE(contains(refusal(R"({"mode": "faithful", "wrap": "/no/such/bn_x.so"})"), "/no/such/bn_x.so"));
  EXPECT_TRUE(contains(refusal(R"({"mode": "faithful", "tier": "engine", "wrap": "/x.so"})"), "tier kernels"));
  EXPECT_TRUE(contains(refusal(R"({"tokens": "abc"})"), "tokens"));
  EXPECT_TRUE(contains(refusal(R"({"tokens": [1, -2]})"), "-2"));
  EXPECT_TRUE(contains(refusal(R"({"tokens": [4294967296]})"), "4294967296"));
  EXPECT_TRUE(contains(refusal(R"({"faults": 1})"), "faults"));
  EXPECT_TRUE(contains(refusal("[1]"), "not a JSON object"));
  EXPECT_TRUE(contains(refusal("{"), "not a JSON object"));
  EXPECT_TRUE(contains(refusal(with_faults("canned", "tokn=lost")), "unknown point 'tokn'"));
  EXPECT_EQ(refusal(R"({"unknown": 1, "mode": "canned"})"), "");
}

TEST(MockPlugin, RulesOfTheOtherModeAreRefused) {
  for (const char* script : {"matmul=lost", "dense@1=nan", "pack=oom", "attention=wrong"}) {
    EXPECT_TRUE(contains(refusal(with_faults("canned", script)), "does not occur in mode canned")) << script;
    EXPECT_EQ(refusal(with_faults("faithful", script)), "") << script;
  }
  for (const char* script : {"append@3=lost", "session=oom", "decode=lost", "truncate=throw"}) {
    EXPECT_TRUE(contains(refusal(with_faults("faithful", script)), "does not occur in mode faithful")) << script;
    EXPECT_EQ(refusal(with_faults("canned", script)), "") << script;
    EXPECT_EQ(refusal(engine_with(script)), "") << script;
  }
}

TEST(MockPlugin, TheFaithfulEngineHasEveryPointButPack) {
  for (int p = 0; p < bn_mock::kPoints; ++p) {
    const std::string name = bn_mock::name_of(static_cast<Point>(p));
    if (name != "open") {
      EXPECT_EQ(refusal(engine_with(name + "=slow:0")).empty(), name != "pack") << name;
    }
  }
}

// The kernels tier has no load: open() is where a faithful mock can refuse a model.
TEST(MockPlugin, LoadRulesFireInOpenWhenFaithful) {
  bn_error error = empty_error();
  bn_device* device = nullptr;
  EXPECT_EQ(mock().open(nullptr, "mock", with_faults("faithful", "load=oom").c_str(), &device, &error), BN_E_NO_MEMORY);
  EXPECT_TRUE(contains(error.message, "load=oom"));
  EXPECT_EQ(mock().open(nullptr, "mock", with_faults("canned", "load=oom").c_str(), &device, &error), BN_OK);
  mock().close(device);
}

class Environment {
 public:
  explicit Environment(const char* script) { setenv("BN_MOCK_FAULTS", script, 1); }
  ~Environment() { unsetenv("BN_MOCK_FAULTS"); }
};

TEST(MockPlugin, EnvironmentReachesEnumerateAndOpen) {
  bn_device_info info = {};
  info.struct_size = sizeof info;
  bn_error error = empty_error();
  bn_device* device = nullptr;
  {
    const Environment faults("enumerate=error:busy;open=oom");
    EXPECT_EQ(mock().enumerate(nullptr, 0, &info, &error), BN_E_BUSY);
    EXPECT_TRUE(contains(error.message, "enumerate=error:busy"));
    EXPECT_EQ(mock().open(nullptr, "mock", nullptr, &device, &error), BN_E_NO_MEMORY);
    EXPECT_TRUE(contains(error.message, "open=oom"));
  }
  {
    const Environment faults("nonsense");
    EXPECT_EQ(mock().enumerate(nullptr, 0, &info, &error), BN_E_INVALID);
    EXPECT_TRUE(contains(error.message, "unknown point 'nonsense'"));
  }
  {
    const Environment faults("open=throw");
    EXPECT_EQ(mock().open(nullptr, "mock", nullptr, &device, &error), BN_E_INTERNAL);
    EXPECT_TRUE(contains(error.message, "open=throw"));
  }
  EXPECT_EQ(mock().enumerate(nullptr, 0, &info, &error), BN_OK);
}

// What breaks a rule and goes on: open() succeeds, and what the rule forbids has happened.
TEST(MockPlugin, MisbehavesWhenAsked) {
  const auto open_with = [](const char* script) { open_mock(with_faults("canned", script)); };
  testing::internal::CaptureStdout();
  open_with("open=print");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "mock: fault 'open=print'\n");
  const auto threads = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}); };
  const auto before = threads();
  open_with("open=thread");
  EXPECT_EQ(threads(), before + 1);
  ASSERT_EQ(std::fegetround(), FE_TONEAREST);
  open_with("open=fpmode");
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  std::fesetround(FE_TONEAREST);
}

TEST(MockPluginDeathTest, CrashesWhenAsked) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto open_with = [](const char* script) {
    const Environment faults(script);
    bn_device* device = nullptr;
    mock().open(nullptr, "mock", nullptr, &device, nullptr);
  };
  EXPECT_DEATH(open_with("open=segv"), "");
  EXPECT_DEATH(open_with("open=segfault"), "");
  EXPECT_DEATH(open_with("open=abort"), "");
  EXPECT_EXIT(open_with("open=exit:7"), testing::ExitedWithCode(7), "");
  EXPECT_EXIT({ mock().close(open_mock(with_faults("canned", "close=exit:9")).release()); }, testing::ExitedWithCode(9), "");
}

}  // namespace
}  // namespace bitnet::mock_test
