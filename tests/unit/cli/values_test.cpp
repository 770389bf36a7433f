// tests/unit/cli/values_test.cpp - the accepted ranges at their ends and one step beyond, lists of ids and biases.
#include "cli/options_values.h"
#include "parse.h"

namespace bitnet::cli {
namespace {

struct Range {
  const char* option;
  std::vector<const char*> accepted;
  std::vector<const char*> refused;
};

// Ranges of user_interface.md, section 3, written out again here on purpose.
const std::vector<Range> kRanges = {
    {"--predict", {"-1", "0", "+7", "2147483647"}, {"-2", "2147483648", "1.5", "abc", "1e3", "+-1", "--5", "+"}},
    {"--ctx-size", {"0", "4096", "2147483647"}, {"-1", "2147483648"}},
    {"--threads", {"0", "1", "1024"}, {"-1", "1025"}},
    {"--batch-size", {"512", "1048576"}, {"0", "1048577"}},
    {"--ubatch-size", {"1", "2048"}, {"0", "-1"}},
    {"--gpu-layers", {"-1", "0", "99"}, {"-2", "all"}},
    {"--time-limit", {"0.001", "60", "31536000"}, {"0", "-1", "0.0009", "31536001", "nan", "inf"}},
    {"--seed", {"-1", "0", "9223372036854775807"}, {"-2", "9223372036854775808", "0.5"}},
    {"--temp", {"0", "0.8", "10", "1e-3", ".5", "+1"}, {"-0.001", "10.001", "nan", "-nan", "inf", "1e400"}},
    {"--top-k", {"-1", "0", "2147483647"}, {"-2", "2147483648"}},
    {"--top-p", {"0", "1", "0.95"}, {"-0.001", "1.001"}},
    {"--min-p", {"0", "1"}, {"-0.001", "1.001"}},
    {"--repeat-penalty", {"0.1", "10"}, {"0.099", "10.01", "0"}},
    {"--repeat-last-n", {"-1", "0", "64"}, {"-2"}},
    {"--presence-penalty", {"-2", "2"}, {"-2.01", "2.01"}},
    {"--frequency-penalty", {"-2", "2"}, {"-2.01", "2.01"}},
    {"--verbosity", {"0", "5"}, {"-1", "6"}},
    {"--head", {"auto", "full", "screened"}, {"", "int8", "Full"}},
    {"--kv-type", {"f32", "f16"}, {"f64", "", "F32", "q8_0"}},
    {"--progress", {"auto", "bar", "plain", "json", "none"}, {"off", ""}},
    {"--prompt-ids", {"1", "1,2 ,3", " 1 2\n3 ", "2147483647"}, {"", ",", "1,,2", "-1", "2147483648", "x", "1;2", "1,"}},
    {"--logit-bias",
     {"1+2", "1-2.5", "7+1,8-1", "0+0", "5-1e3"},
     {"", "5", "+5", "-1-2", "1+-2", "1+nan", "1+inf", "1-1e7", "1+2,", "x+1"}},
    {"--backend", {"cpu", "cuda,cpu_avx2", "auto", "CUDA0", "org.x.y:0"}, {"", ",", "cpu,", "a b", "a/b", "cpu,,cuda"}},
    {"--stop", {"x", "\n"}, {""}},
    {"--model", {"m.gguf"}, {""}},
    {"--file", {"f.txt"}, {""}},
    {"--logits-out", {"x"}, {""}},
    {"--plugin", {"x.so"}, {""}},
};

TEST(Ranges, LimitAndLimitPlusOne) {
  for (const Range& range : kRanges) {
    const bool is_prompt = std::string(range.option) == "--prompt-ids" || std::string(range.option) == "--file";
    const std::vector<std::string> prompt = is_prompt ? std::vector<std::string>{} : std::vector<std::string>{"-p", "x"};
    const auto line = [&](const char* value) {
      std::vector<std::string> arguments{range.option, value};
      arguments.insert(arguments.end(), prompt.begin(), prompt.end());
      return arguments;
    };
    for (const char* value : range.accepted) EXPECT_NO_THROW(parse(line(value))) << range.option << " " << value;
    for (const char* value : range.refused) {
      SCOPED_TRACE(std::string(range.option) + " " + value);
      EXPECT_EQ(refusal(line(value)).find(std::string(range.option) + ": expected "), 0U);
    }
  }
}

TEST(Values, ValuesReachTheStruct) {
  const RunOptions run = parse_run({"-p",
                                    "x",
                                    "--seed",
                                    "9223372036854775807",
                                    "--top-k",
                                    "7",
                                    "--top-p",
                                    "0.5",
                                    "--min-p",
                                    "0.25",
                                    "--temp",
                                    "1.5",
                                    "--repeat-penalty",
                                    "1.25",
                                    "--repeat-last-n",
                                    "-1",
                                    "--presence-penalty",
                                    "-2",
                                    "--frequency-penalty",
                                    "2",
                                    "--ignore-eos",
                                    "--logit-bias",
                                    "5+1.5,6-2",
                                    "--logit-bias",
                                    "7-0.5"});
  const SamplingOptions& sampling = run.sampling;
  EXPECT_EQ(sampling.seed, 9223372036854775807);
  EXPECT_EQ(sampling.top_k, 7);
  EXPECT_EQ(sampling.top_p, 0.5);
  EXPECT_EQ(sampling.min_p, 0.25);
  EXPECT_EQ(sampling.temperature, 1.5);
  EXPECT_FALSE(sampling.greedy);
  EXPECT_EQ(sampling.repeat_penalty, 1.25);
  EXPECT_EQ(sampling.repeat_last_n, -1);
  EXPECT_EQ(sampling.presence_penalty, -2);
  EXPECT_EQ(sampling.frequency_penalty, 2);
  EXPECT_TRUE(sampling.ignore_eos);
  ASSERT_EQ(sampling.logit_bias.size(), 3U);
  EXPECT_EQ(sampling.logit_bias[1].id, 6);
  EXPECT_EQ(sampling.logit_bias[1].bias, -2.0F);
  EXPECT_EQ(sampling.logit_bias[2].id, 7);
  EXPECT_EQ(sampling.logit_bias[2].bias, -0.5F);
}

TEST(Values, LogitBiasLimit) {
  std::string entries = "0+1";
  for (int i = 1; i < 1024; ++i) entries += "," + std::to_string(i) + "+1";
  EXPECT_EQ(parse_run({"-p", "x", "--logit-bias", entries}).sampling.logit_bias.size(), 1024U);
  EXPECT_CONTAINS(refusal({"-p", "x", "--logit-bias", entries, "--logit-bias", "2000+1"}),
                  "at most 1024 biased tokens, found 1025");
}

TEST(Values, StopLimits) {
  std::vector<std::string> arguments{"-p", "x"};
  for (int i = 0; i < 16; ++i) arguments.insert(arguments.end(), {i % 2 == 0 ? "--stop" : "-r", "s" + std::to_string(i)});
  const RunOptions run = parse_run(arguments);
  ASSERT_EQ(run.sampling.stop.size(), 16U);
  EXPECT_EQ(run.sampling.stop[15], "s15");
  arguments.insert(arguments.end(), {"--reverse-prompt", "one more"});
  EXPECT_CONTAINS(refusal(arguments), "at most 16 stop texts, found 17");
  EXPECT_NO_THROW(parse({"-p", "x", "--stop", std::string(256, 'a')}));
  EXPECT_CONTAINS(refusal({"-p", "x", "--stop", std::string(257, 'a')}), "1 to 256 bytes, found 257");
}

TEST(Values, BackendListLimit) {
  std::string list = "b0";
  for (int i = 1; i < 32; ++i) list += ",b" + std::to_string(i);
  EXPECT_EQ(parse_run({"-p", "x", "--backend", list}).compute.backends.size(), 32U);
  EXPECT_CONTAINS(refusal({"-p", "x", "--backend", list + ",b32"}), "at most 32 names, found 33");
}

TEST(Values, IdsKeepTheirOrder) { EXPECT_EQ(read_ids("x", "3, 1\t4 1,5"), (std::vector<int32_t>{3, 1, 4, 1, 5})); }

}  // namespace
}  // namespace bitnet::cli
