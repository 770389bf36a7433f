// fault/containment_test.cpp - backends that hang, crash or are killed: the program goes on with the next one, with the same
// text.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

const std::vector<std::string> kStory = {"-p", "Once upon a time", "-n", "32", "--seed", "5", "-t", "2", "--json"};

ProgramResult run(std::vector<std::string> more, const ProgramOptions& options = {}) {
  more.insert(more.end(), kStory.begin(), kStory.end());
  return run_program(more, options);
}

const json& undisturbed() {
  static const json result = json::parse(run({"--backend", "cpu_portable", "--no-fallback"}).out, nullptr, false);
  return result;
}

void expect_same_text(const ProgramResult& result, const std::string& stage, const std::string& reason) {
  ASSERT_EQ(result.exit_code, 0) << result;
  const json got = json::parse(result.out);
  EXPECT_EQ(got["tokens"], undisturbed()["tokens"]) << result;
  EXPECT_EQ(got["text"], undisturbed()["text"]);
  EXPECT_EQ(got["logits_hash"], undisturbed()["logits_hash"]);
  ASSERT_EQ(got["fallback"].size(), 1u) << got["fallback"];
  EXPECT_EQ(got["fallback"][0]["stage"], stage);
  EXPECT_NE(got["fallback"][0]["reason"].get<std::string>().find(reason), std::string::npos) << got["fallback"];
  EXPECT_EQ(got["backend"]["name"], "cpu_portable");
}

struct Case {
  const char* tier;
  const char* script;
  const char* stage;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.tier << ' ' << c.script; }

std::vector<std::string> mock_then_portable(const Case& c) {
  return {"--backend", "mock,cpu_portable", "--mock-mode", "faithful", "--mock-tier", c.tier, "--mock-faults", c.script};
}

// ------------------------------------------------------------------------------------------------ hanging
class Hang : public testing::TestWithParam<Case> {};

TEST_P(Hang, P7_G4_TheNextBackendGoesOn) {
  std::vector<std::string> args = mock_then_portable(GetParam());
  args.insert(args.end(), {"--hang-limit", "1.5"});
  const ProgramResult result = run(args, {.timeout = 60});
  expect_same_text(result, GetParam().stage, "no sign of life for");
}

TEST_P(Hang, EndsTheWorkerProcessToo) {
  std::vector<std::string> args = mock_then_portable(GetParam());
  args.insert(args.end(), {"--hang-limit", "1.5", "--isolate-backend"});
  const ProgramResult result = run(args, {.timeout = 60});
  expect_same_text(result, GetParam().stage, "no sign of life for");
}

INSTANTIATE_TEST_SUITE_P(Places, Hang,
                         testing::Values(Case{"kernels", "open=hang", "load"}, Case{"kernels", "prefill=hang", "prefill"},
                                         Case{"kernels", "token@17=hang", "decode"}, Case{"engine", "load=hang", "load"},
                                         Case{"engine", "token@9=hang", "decode"}));

TEST(Patience, SlowIsNotHanging) {
  const ProgramResult result = run({"--backend", "mock", "--no-fallback", "--mock-mode", "faithful", "--mock-tier", "engine",
                                    "--mock-faults", "token@3=slow:2500", "--hang-limit", "1"});
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(json::parse(result.out)["tokens"], undisturbed()["tokens"]);
}

// ------------------------------------------------------------------------------------------------ crashing
class Crash : public testing::TestWithParam<Case> {};

TEST_P(Crash, P6_InAWorkerProcessItEndsInFallback) {
  std::vector<std::string> args = mock_then_portable(GetParam());
  args.emplace_back("--isolate-backend");
  expect_same_text(run(args), GetParam().stage, "its worker process");
}

INSTANTIATE_TEST_SUITE_P(Places, Crash,
                         testing::Values(Case{"kernels", "open=segv", "load"}, Case{"kernels", "prefill=abort", "prefill"},
                                         Case{"kernels", "token@2=segv", "decode"},
                                         Case{"kernels", "token@17=exit:0", "decode"}, Case{"engine", "load=exit:3", "load"},
                                         Case{"engine", "prefill=segv", "prefill"}, Case{"engine", "token@17=segv", "decode"},
                                         Case{"engine", "token@32=abort", "decode"}));

TEST(Isolated, WithoutAFaultTheTextIsTheSame) {
  for (const char* backend : {"cpu_portable", "cpu_avx2"}) {
    const ProgramResult result = run({"--backend", backend, "--isolate-backend"});
    ASSERT_EQ(result.exit_code, 0) << result;
    const json got = json::parse(result.out);
    EXPECT_EQ(got["tokens"], undisturbed()["tokens"]);
    EXPECT_EQ(got["logits_hash"], undisturbed()["logits_hash"]);
  }
}

TEST(Isolated, StrictSaysHowTheWorkerEnded) {
  const ProgramResult result = run(
      {"--backend", "mock", "--no-fallback", "--isolate-backend", "--mock-mode", "faithful", "--mock-faults", "token@5=segv"});
  EXPECT_EQ(result.exit_code, 4) << result;
  const bool by_signal = result.err.find("was ended by signal 11") != std::string::npos;
  const bool by_sanitizer = result.err.find("exited with code 1") != std::string::npos;  // which turns the signal into an exit
  EXPECT_TRUE(by_signal || by_sanitizer) << result;
}

TEST(Isolated, InterruptEndsBothProcesses) {
  const ProgramResult result = run_program({"-p", "Once upon a time", "-n", "200", "--backend", "mock", "--no-fallback",
                                            "--isolate-backend", "--mock-mode", "faithful", "--mock-faults", "token=slow:30"},
                                           {.send_signal = SIGINT, .send_after_bytes = 20});
  EXPECT_EQ(result.exit_code, 130) << result;
}

TEST(Isolated, WorkerIsNotForPeople) {
  const ProgramResult result = run_program({}, {.program = std::string(BITNET_BINARY_DIR) + "/libexec/bitnet/bn_worker"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("started by bitnet-run"), std::string::npos) << result;
}

// The worker process of a program, or 0. (It starts bn_probe, too.)
pid_t worker_of(pid_t parent) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    std::ifstream status(entry.path() / "stat");
    std::string id, name, state;
    pid_t of = 0;
    if (status >> id >> name >> state >> of && of == parent && name == "(bn_worker)") return std::stoi(id);
  }
  return 0;
}

// A real second process, killed by SIGKILL in the middle of a sentence.
TEST(Isolated, E4_SigkillOfTheWorkerInTheMiddleOfASentence) {
  const TempFolder folder;
  const std::string out = folder / "out.json", err = folder / "err.txt";
  const pid_t program = ::fork();
  if (program == 0) {
    for (const auto& [path, fd] : {std::pair{&out, 1}, std::pair{&err, 2}}) {
      std::FILE* file = std::fopen(path->c_str(), "w");
      if (file == nullptr || ::dup2(::fileno(file), fd) < 0) ::_exit(99);
    }
    ::setenv("HOME", "/nonexistent", 1);
    ::unsetenv("XDG_CACHE_HOME");
    ::execl(BITNET_RUN, "bitnet-run", "-p", "Once upon a time", "-n", "32", "--seed", "5", "--json", "--isolate-backend",
            "--backend", "mock,cpu_portable", "--mock-mode", "faithful", "--mock-faults", "token=slow:40", nullptr);
    ::_exit(98);
  }
  ASSERT_GT(program, 0);
  pid_t worker = 0;
  for (int i = 0; i < 400 && worker == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    worker = worker_of(program);
  }
  ASSERT_NE(worker, 0) << read_text(err);
  std::this_thread::sleep_for(std::chrono::milliseconds(600));  // of the 1300 that the 32 tokens take at least
  ASSERT_EQ(::kill(worker, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(program, &status, 0), program);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << read_text(err);
  const json got = json::parse(read_text(out));
  EXPECT_EQ(got["tokens"], undisturbed()["tokens"]);
  EXPECT_EQ(got["text"], undisturbed()["text"]);
  ASSERT_EQ(got["fallback"].size(), 1u) << got["fallback"];
  EXPECT_NE(got["fallback"][0]["reason"].get<std::string>().find("signal 9"), std::string::npos) << got["fallback"];
}

}  // namespace
}  // namespace bitnet::test
