// e2e/convert_test.cpp - `convert` and `quant-check` as a user meets them: what is refused and why, what stays behind, exit
// codes.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "gguf/reader.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kStory = BITNET_BINARY_DIR "/share/bitnet/models/story.gguf";
const std::string kStoryTq2 = BITNET_TEST_DATA "/story/story-tq2_0.gguf";

ProgramResult convert(const std::string& input, const std::string& output, const std::string& type,
                      const std::vector<std::string>& more = {}) {
  std::vector<std::string> args = {"convert", input, "-o", output, "--type", type};
  args.insert(args.end(), more.begin(), more.end());
  return run_program(args);
}

void expect_refused(const ProgramResult& result, int code, const std::vector<std::string>& words) {
  EXPECT_EQ(result.exit_code, code) << result;
  EXPECT_EQ(result.out, "") << result;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result;
  for (const std::string& word : words) EXPECT_NE(result.err.find(word), std::string::npos) << word << " in " << result;
}

TEST(Convert, WritesAFileThatRunsTheSame) {
  const TempFolder folder;
  const ProgramResult made = convert(kStory, folder / "r4.gguf", "iq2_bn_r4", {"--verify"});
  ASSERT_EQ(made.exit_code, 0) << made;
  EXPECT_NE(made.out.find("28 matrices written as iq2_bn_r4; weights and scales are the same; verified"), std::string::npos)
      << made;
  const std::vector<std::string> more = {"-p", "Once upon a time", "-n", "24", "--greedy"};
  const auto text = [&](const std::string& model) {
    std::vector<std::string> args = {"-m", model};
    args.insert(args.end(), more.begin(), more.end());
    return run_program(args).out;
  };
  EXPECT_EQ(text(folder / "r4.gguf"), text(kStory));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1) << "something stayed behind";
}

TEST(Convert, KeepsKeysAndOtherTensorsByteForByte) {
  const TempFolder folder;
  ASSERT_EQ(convert(kStory, folder / "a.gguf", "tq1_0", {"--scale-tensors"}).exit_code, 0);
  const gguf::File before(kStory), after(folder / "a.gguf");
  ASSERT_EQ(after.keys().size(), before.keys().size());
  for (size_t i = 0; i < before.keys().size(); ++i) {
    const gguf::KeyValue &a = before.keys()[i], &b = after.keys()[i];
    ASSERT_EQ(a.key, b.key);
    if (a.key == "general.file_type") continue;
    EXPECT_EQ(a.type, b.type);
    EXPECT_EQ(std::string(a.data, a.data + a.bytes), std::string(b.data, b.data + b.bytes)) << a.key;
  }
  EXPECT_EQ(after.find_uint("general.file_type"), 36u);
  for (const gguf::TensorInfo& t : before.tensors()) {
    const gguf::TensorInfo* copy = after.find_tensor(t.name);
    ASSERT_NE(copy, nullptr) << t.name;
    EXPECT_EQ(copy->extents, t.extents);
    if (t.type->cls == gguf::TypeClass::kTernary) {
      EXPECT_STREQ(copy->type->name, "TQ1_0");
      EXPECT_NE(after.find_tensor(t.name.substr(0, t.name.size() - 6) + "scale"), nullptr);
    } else {
      ASSERT_EQ(copy->bytes, t.bytes);
      EXPECT_EQ(std::memcmp(copy->data, t.data, t.bytes), 0) << t.name;
    }
  }
}

TEST(Convert, ThereAndBackGivesTheSameFile) {
  const TempFolder folder;
  ASSERT_EQ(convert(kStory, folder / "a.gguf", "iq2_bn").exit_code, 0);
  ASSERT_EQ(convert(folder / "a.gguf", folder / "b.gguf", "i2_s").exit_code, 0);
  EXPECT_EQ(read_text(folder / "b.gguf") == read_text(kStory), true);
}

TEST(Convert, LossOfScalesIsRefusedWithItsSizeUntilAllowed) {
  const TempFolder folder;
  expect_refused(convert(kStory, folder / "a.gguf", "tq2_0"), 2, {"0.00038", "--scale-tensors", "--allow-loss", "and 25 more"});
  EXPECT_TRUE(fs::is_empty(folder.path()));
  const ProgramResult made = convert(kStory, folder / "a.gguf", "tq2_0", {"--allow-loss", "--json", "--verify"});
  ASSERT_EQ(made.exit_code, 0) << made;
  EXPECT_NEAR(json::parse(made.out).at("largest_relative_scale_error").get<double>(), 0.00038023434215800903, 1e-9);
  // The other program's file, whose scales are rounded the same way.
  EXPECT_EQ(read_text(folder / "a.gguf") == read_text(kStoryTq2), true);
}

// The numbers are those of the programs that define the formats.
TEST(Convert, TheFileTypeSaysWhatWasWritten) {
  const std::pair<const char*, uint32_t> types[] = {
      {"i2_s", 40}, {"tq2_0", 37}, {"iq1_bn", 136}, {"iq2_bn", 137}, {"iq2_bn_r4", 337}};
  for (const auto& [type, number] : types) {
    const TempFolder folder;
    const ProgramResult made = convert(BITNET_TEST_DATA "/story/story-tq2_0.gguf", folder / "a.gguf", type);
    ASSERT_EQ(made.exit_code, 0) << type << made;
    EXPECT_EQ(gguf::File(folder / "a.gguf").find_uint("general.file_type"), number) << type;
  }
}

TEST(Convert, TheTypeItHasAlreadyIsCopied) {
  const TempFolder folder;
  const ProgramResult made = convert(kStory, folder / "a.gguf", "i2_s");
  ASSERT_EQ(made.exit_code, 0) << made;
  EXPECT_EQ(read_text(folder / "a.gguf") == read_text(kStory), true);
}

// I2_S: the codes of the matrix, then its scale.
TEST(Convert, AScaleThatF16CannotHoldAtAllIsRefusedEvenWithLoss) {
  const TempFolder folder;
  std::string bytes = read_text(kStory);
  {
    const gguf::File file(kStory);
    const gguf::TensorInfo* t = file.find_tensor("blk.1.ffn_up.weight");
    const float scale = 1e-9f;
    std::memcpy(bytes.data() + t->offset + t->rows() * t->columns() / 4, &scale, sizeof scale);
  }
  write_text(folder / "small.gguf", bytes);
  expect_refused(convert(folder / "small.gguf", folder / "a.gguf", "tq2_0", {"--allow-loss"}), 2,
                 {"cannot hold these at all", "--scale-tensors", "blk.1.ffn_up.weight"});
  EXPECT_FALSE(fs::exists(folder / "a.gguf"));
  EXPECT_EQ(convert(folder / "small.gguf", folder / "a.gguf", "tq2_0", {"--scale-tensors"}).exit_code, 0);
}

// IQ2_BN: each row is its scale and then four codes a byte, 1 is zero. What a row of zeros is multiplied with does not matter.
TEST(Convert, TheScaleOfARowOfZerosIsNoScaleOfItsOwn) {
  const TempFolder folder;
  ASSERT_EQ(convert(kStory, folder / "rows.gguf", "iq2_bn").exit_code, 0);
  std::string bytes = read_text(folder / "rows.gguf");
  uint64_t at = 0, row = 0;
  {
    const gguf::File file(folder / "rows.gguf");
    const gguf::TensorInfo* t = file.find_tensor("blk.1.ffn_up.weight");
    row = 4 + t->columns() / 4;
    at = t->offset + 3 * row;
  }
  const float scale = 7;
  const auto with_scale = [&](bool zeros) {
    std::string changed = bytes;
    std::memcpy(changed.data() + at, &scale, sizeof scale);
    if (zeros) std::fill_n(changed.begin() + static_cast<std::ptrdiff_t>(at + 4), row - 4, '\x55');
    write_text(folder / "changed.gguf", changed);
    return convert(folder / "changed.gguf", folder / "a.gguf", "i2_s", {"--verify"});
  };
  expect_refused(with_scale(false), 2, {"one scale per tensor", "blk.1.ffn_up.weight"});
  const ProgramResult made = with_scale(true);
  EXPECT_EQ(made.exit_code, 0) << made;
}

TEST(Convert, WrongUsageIsRefused) {
  const TempFolder folder;
  const std::string out = folder / "a.gguf";
  expect_refused(run_program({"convert"}), 2, {"no input"});
  expect_refused(run_program({"convert", kStory}), 2, {"no output", "-o FILE"});
  expect_refused(run_program({"convert", kStory, "-o", out}), 2, {"--type", "iq2_bn_r4"});
  expect_refused(convert(kStory, out, "q4_0"), 2, {"--type", "i2_s"});
  expect_refused(convert(kStory, out, "tq2_0", {"--scale-tensors", "--allow-loss"}), 2, {"give one"});
  expect_refused(convert(kStory, out, "i2_s", {"--i2s-layout", "auto"}), 2, {"backends explain"});
  expect_refused(convert(folder / "none.gguf", out, "i2_s"), 3, {"none.gguf"});
  expect_refused(convert(kStory, out, "tl1"), 2, {"TL1", "--kernel-config", "256 rows and 256 columns"});
  expect_refused(convert(kStory, out, "tl1", {"--kernel-config", folder / "none.ini"}), 2, {"none.ini", "cannot be read"});
  expect_refused(convert(BITNET_TEST_DATA "/families/llama_row_scales/model.gguf", out, "i2_s"), 2,
                 {"one scale per tensor", "iq2_bn", "blk.0.attn_q.weight"});
  expect_refused(convert(BITNET_TEST_DATA "/families/bitnet_silu_hd96/model.gguf", out, "tq2_0", {"--allow-loss"}), 2,
                 {"no multiple of 256"});
  expect_refused(convert(BITNET_TEST_DATA "/gguf/formats/floats.gguf", out, "i2_s"), 2, {"nothing to convert"});
  expect_refused(convert(BITNET_TEST_DATA "/gguf/formats/Q2_0.plus_two.gguf", out, "i2_s"), 3, {"code 3", "index"});
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Convert, OutputsThatAreSomethingElseAreLeftAlone) {
  const TempFolder folder;
  const std::string model = folder / "model.gguf";
  fs::copy_file(kStory, model);
  const std::string before = read_text(model);
  expect_refused(convert(model, model, "iq2_bn", {"--force"}), 2, {"is the input"});
  fs::create_hard_link(model, folder / "link.gguf");
  expect_refused(convert(model, folder / "link.gguf", "iq2_bn", {"--force"}), 2, {"is the input"});
  write_text(folder / "other.gguf", "mine");
  expect_refused(convert(model, folder / "other.gguf", "iq2_bn"), 2, {"exists", "--force"});
  expect_refused(convert(model, "/dev/null", "iq2_bn", {"--force"}), 2, {"no regular file"});
  expect_refused(convert(model, folder / "no/such/out.gguf", "iq2_bn"), 1, {"No such file"});
  EXPECT_EQ(read_text(model) == before, true);
  EXPECT_EQ(read_text(folder / "other.gguf"), "mine");
  EXPECT_EQ(convert(model, folder / "other.gguf", "iq2_bn", {"--force"}).exit_code, 0);
  EXPECT_EQ(read_text(folder / "other.gguf").substr(0, 4), "GGUF");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 3);
}

TEST(Convert, D1_a_full_disk_leaves_nothing_behind) {
  const TempFolder folder;
  const std::string command = "ulimit -f 500; exec \"$0\" convert \"$1\" -o \"$2\" --type iq2_bn";
  const ProgramResult result = run_program({"-c", command, BITNET_RUN, kStory, folder / "a.gguf"}, {.program = "/bin/sh"});
  expect_refused(result, 1, {"File too large"});
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Convert, E6_ctrl_c_leaves_all_or_nothing) {
  for (int round = 0; round < 5; ++round) {
    const TempFolder folder;
    const ProgramResult result = run_program({"convert", kStory, "-o", folder / "a.gguf", "--type", "iq2_bn", "--verify"},
                                             {.timeout = 60, .send_signal = SIGINT});
    if (fs::is_empty(folder.path())) continue;
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_TRUE(gguf::File(folder / "a.gguf").warnings().empty());
  }
}

TEST(Convert, F14_a_cut_input_leaves_nothing_behind) {
  const TempFolder folder;
  write_text(folder / "cut.gguf", read_text(kStory).substr(0, 1000000));
  expect_refused(convert(folder / "cut.gguf", folder / "a.gguf", "iq2_bn"), 3, {"file is cut"});
  EXPECT_FALSE(fs::exists(folder / "a.gguf"));
}

TEST(QuantCheck, TheSameWeightsInOtherTypesPass) {
  const TempFolder folder;
  ASSERT_EQ(convert(kStory, folder / "a.gguf", "q2_0", {"--scale-tensors"}).exit_code, 0);
  const ProgramResult result = run_program({"quant-check", kStory, folder / "a.gguf"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.out.find("I2_S / Q2_0"), std::string::npos) << result;
  EXPECT_TRUE(result.out.ends_with("passed\n")) << result;
}

TEST(QuantCheck, RoundedScalesAreMeasured) {
  const ProgramResult strict = run_program({"quant-check", kStory, kStoryTq2, "--json"});
  EXPECT_EQ(strict.exit_code, 5) << strict;
  const json report = json::parse(strict.out);
  EXPECT_EQ(report.at("passed"), false);
  EXPECT_EQ(report.at("tensors").size(), 46u);
  bool found = false;
  for (const json& t : report.at("tensors")) {
    if (t.at("name") != "blk.0.attn_q.weight") continue;
    found = true;  // the numbers are another program's
    EXPECT_EQ(t.at("types"), (json{"I2_S", "TQ2_0"}));
    EXPECT_EQ(t.at("codes_different"), 0);
    EXPECT_NEAR(t.at("scale_difference").get<double>(), 0.0001267227715923053, 1e-9);
    EXPECT_NEAR(t.at("relative_error").get<double>(), 0.0001267227715923053, 1e-9);
    EXPECT_NEAR(t.at("max_error").get<double>(), 6.16908073425293e-06, 1e-11);
    EXPECT_NEAR(t.at("mse").get<double>(), 2.5560049072398915e-11, 1e-16);
    EXPECT_EQ(t.at("result"), "fail");
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(run_program({"quant-check", kStory, kStoryTq2, "--tolerance", "5e-4"}).exit_code, 0);
}

TEST(QuantCheck, OneOtherCodeIsFound) {
  const TempFolder folder;
  std::string bytes = read_text(kStory);
  uint64_t at = 0;
  {
    const gguf::File file(kStory);
    at = file.find_tensor("blk.1.ffn_up.weight")->offset + 77;
  }
  const int code = bytes[at] & 3;
  bytes[at] = static_cast<char>((bytes[at] & ~3) | (code == 1 ? 0 : 1));
  write_text(folder / "b.gguf", bytes);
  const ProgramResult result = run_program({"quant-check", kStory, folder / "b.gguf", "--json"});
  EXPECT_EQ(result.exit_code, 5) << result;
  const json report = json::parse(result.out);
  uint64_t different = 0;
  for (const json& t : report.at("tensors")) {
    if (t.at("codes_different").is_number()) different += t.at("codes_different").get<uint64_t>();
  }
  EXPECT_EQ(different, 1u);
}

TEST(QuantCheck, WhatIsNotMeasuredFails) {
  const ProgramResult result = run_program({"quant-check", kStory, BITNET_TEST_DATA "/families/bitnet_silu_hd96/model.gguf"});
  EXPECT_EQ(result.exit_code, 5) << result;
  EXPECT_NE(result.out.find("F32 / -"), std::string::npos) << result;
  EXPECT_NE(result.out.find("not measured: the shapes differ"), std::string::npos) << result;
  EXPECT_TRUE(result.out.ends_with("failed\n")) << result;
  expect_refused(run_program({"quant-check", kStory}), 2, {"two model files, found 1"});
  expect_refused(run_program({"quant-check", kStory, "/nonexistent"}), 3, {"/nonexistent"});
}

}  // namespace
}  // namespace bitnet::test
