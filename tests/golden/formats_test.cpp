// golden/formats_test.cpp - every model in every ternary format, on every backend; and `convert` against the files of another
// program.
//
// The converted models come from convert_formats.py. They hold the same trits and scales, so they give the same bits; that
// those of the original are right is the business of logits_test.cpp.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "golden/compare.h"
#include "golden/model_run.h"
#include "golden/reference.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::golden_test {
namespace {

namespace fs = std::filesystem;

// Formats that convert_formats.py writes of a model, but for those that its shapes or scales do not allow.
const std::vector<std::string>& formats() {
  static const std::vector<std::string> names = {"i2s-x86", "i2s-arm64", "i2s-x86-4row", "i2s-seq", "tl1",    "tl2",
                                                 "tq1_0",   "tq2_0",     "q2_0",         "iq1_bn",  "iq2_bn", "iq2_bn_r4"};
  return names;
}

std::set<std::string> impossible(const std::string& model) {
  static const std::map<std::string, std::set<std::string>> all = {
      {"bitnet_silu_hd96", {"tq1_0", "tq2_0"}},
      {"bitnet_silu_hd100", {"tq1_0", "tq2_0", "q2_0", "iq1_bn", "iq2_bn", "iq2_bn_r4"}},
      {"bitnet_b158_relu2", {"tq1_0", "tq2_0"}},
      {"bitnet_25_relu2", {"tq1_0", "tq2_0"}},
      {"bitnet_relu2_key", {"tl2"}},
      {"llama_rope_freqs", {"tl2", "tq1_0", "tq2_0"}},
      {"llama_falcon3_hd256", {}},
      {"llama_row_scales", {"i2s-x86", "i2s-arm64", "i2s-x86-4row", "i2s-seq", "tl1", "tl2", "tq1_0", "tq2_0"}},
      {"story", {"tl2"}},
  };
  return all.at(model);
}

std::string converted(const std::string& model, const std::string& format) {
  return std::string(BITNET_GOLDEN_FORMATS) + "/" + model + "/" + format + ".gguf";
}

using Parameter = std::tuple<std::string, std::string>;  // backend, case
using EveryFormat = BackendTest<Parameter>;

TEST_P(EveryFormat, GivesTheBitsOfTheOriginal) {
  const Case& c = load_case(std::get<1>(GetParam()));
  const Prompt& p = c.prompt(c.name == kStory ? "once" : "strict");
  const ModelRun original = run_model({.model = c.model, .backend = backend(), .ids = p.tokens});
  const LogitsDifference difference = compare_logits(original.logits, p.logits, c.n_vocab, p.tolerance);
  ASSERT_TRUE(difference.allowed()) << difference.text();
  for (const std::string& format : formats()) {
    SCOPED_TRACE(format);
    const std::string model = converted(c.name, format);
    ASSERT_EQ(fs::exists(model), !impossible(c.name).contains(format)) << model;
    if (!fs::exists(model)) continue;
    const ModelRun run = run_model({.model = model, .backend = backend(), .ids = p.tokens});
    EXPECT_TRUE(same_bits(run.logits, original.logits));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EveryFormat, testing::Combine(testing::ValuesIn(backends()), testing::ValuesIn(case_names())),
                         parameter_name<Parameter>);

class Converted : public testing::TestWithParam<std::string> {};  // case

// `convert` writes the bytes that the other program wrote, from the original and from every other format.
TEST_P(Converted, FilesAreThoseOfTheOtherProgram) {
  const Case& c = load_case(GetParam());
  const test::TempFolder folder;
  for (const std::string& format : formats()) {
    const std::string expected = converted(c.name, format);
    const std::string type = format == "i2s-x86" ? "i2_s" : format;
    if (type.starts_with("i2s-") || !fs::exists(expected)) continue;
    for (const std::string& from :
         {std::string("original"), std::string("iq2_bn"), std::string("i2s-arm64"), std::string("tl1")}) {
      SCOPED_TRACE(from + " to " + format);
      const std::string input = from == "original" ? c.model : converted(c.name, from);
      if (!fs::exists(input)) continue;
      // One kernel configuration cannot serve two lookup formats.
      const bool from_lookup = from == "tl1" || (from == "original" && c.name == "bitnet_silu_hd100");
      // In files of block scales a row of zeros has no scale; in files of one scale it has that.
      const bool has_block_scales = c.name == "llama_falcon3_hd256" || c.name == "bitnet_relu2_key";
      if (has_block_scales && format.starts_with("iq") && (from == "tl1" || from == "i2s-arm64")) continue;
      // What has the type already is copied, whatever scales its blocks of zeros have.
      const bool is_copy =
          from == "original" && format == (c.name == "bitnet_relu2_key" ? "tq2_0" : "tq1_0") && has_block_scales;
      if (from_lookup && format.starts_with("tl") && !(from == "original" && format == "tl2")) continue;
      const std::string output = folder / (from + "-" + format + ".gguf");
      std::vector<std::string> args = {"convert", input, "-o", output, "--type", type, "--scale-tensors", "--verify"};
      std::vector<std::string> reading = reading_options(input);
      if (format.starts_with("tl")) {
        std::erase_if(reading, [&](const std::string& o) { return o == "--kernel-config" || o.ends_with(".ini"); });
        reading.insert(reading.end(), {"--kernel-config", fs::path(expected).replace_extension(".ini").string()});
      }
      args.insert(args.end(), reading.begin(), reading.end());
      const test::ProgramResult result = test::run_program(args);
      ASSERT_EQ(result.exit_code, 0) << result;
      const std::string& same_as = is_copy ? c.model : expected;
      EXPECT_EQ(test::read_text(output) == test::read_text(same_as), true) << output << " and " << same_as << " differ";
      fs::remove(output);
    }
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

INSTANTIATE_TEST_SUITE_P(Models, Converted, testing::ValuesIn(case_names()), [](const auto& test) { return test.param; });

TEST(I2sLayoutAuto, FindsTheLayoutOfATrainedModel) {
  for (const std::string layout : {"x86", "arm64", "x86-4row", "seq"}) {
    const test::ProgramResult result = test::run_program(
        {"-m", converted("story", "i2s-" + layout), "--i2s-layout", "auto", "-p", "Once upon a time", "-n", "4", "--greedy"});
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_NE(result.err.find("--i2s-layout auto: " + layout + " ("), std::string::npos) << result;
    EXPECT_EQ(result.out, ", there was a\n") << result;
  }
}

TEST(I2sLayoutAuto, RefusesWhenNoLayoutMakesSense) {
  const test::ProgramResult result = test::run_program(
      {"-m", data_path("families/bitnet_silu_hd96/model.gguf"), "--i2s-layout", "auto", "--prompt-ids", "1,2", "-n", "2"});
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_NE(result.err.find("name the layout"), std::string::npos) << result;
}

// A backend in a process of its own opens the file itself: it has to be told how to read it.
TEST(IsolatedBackend, ReadsTheFileAsTheProgramDoes) {
  const Case& c = load_case("bitnet_b158_relu2");
  const Prompt& p = c.prompt("strict");
  const ModelRun original = run_model({.model = c.model, .backend = backends().front(), .ids = p.tokens});
  for (const std::string format : {"i2s-arm64", "tl1"}) {
    const ModelRun run = run_model(
        {.model = converted(c.name, format), .backend = backends().front(), .ids = p.tokens, .more = {"--isolate-backend"}});
    EXPECT_TRUE(same_bits(run.logits, original.logits)) << format;
  }
}

// What one reading left in the prepack cache is nothing for another.
TEST(PrepackCache, KeepsReadingsOfOneFileApart) {
  const test::TempFolder folder;
  const std::string model = converted("story", "i2s-arm64");
  const auto text = [&](const std::string& layout) {
    const test::ProgramResult result =
        test::run_program({"-m", model, "--i2s-layout", layout, "-p", "Once upon a time", "-n", "8", "--greedy", "-v"},
                          {.env = {{"XDG_CACHE_HOME", folder.path().string()}}});
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.err.find("is not used and removed"), std::string::npos) << "another reading's file was taken: " << result;
    return result.out;
  };
  const std::string wrong = text("x86"), right = text("arm64");
  EXPECT_NE(wrong, right);
  EXPECT_EQ(text("x86"), wrong);
  EXPECT_EQ(text("arm64"), right);
}

}  // namespace
}  // namespace bitnet::golden_test
