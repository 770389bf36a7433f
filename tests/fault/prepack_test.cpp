// fault/prepack_test.cpp - packed weights on disk, through the program: the second start maps them, damage is noticed, and
// nothing that happens to the files changes a text or ends a run.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kModel = std::string(BITNET_TEST_DATA) + "/story/story-tq2_0.gguf";
constexpr int kMatrices = 28;
constexpr size_t kPage = 4096;

class Prepack : public testing::Test {
 protected:
  ProgramResult run(const std::vector<std::string>& more = {}, const std::string& backend = "cpu_avx2",
                    std::vector<std::pair<std::string, std::string>> env = {}) const {
    std::vector<std::string> args = {"-m", kModel,     "-p",     "Once upon a time", "-n",
                                     "8",  "--greedy", "--json", "--backend",        backend};
    args.insert(args.end(), more.begin(), more.end());
    env.emplace_back("XDG_CACHE_HOME", folder_ / "cache");
    return run_program(args, {.env = env});
  }
  static json matrices(const ProgramResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result;
    const json j = json::parse(result.out, nullptr, false);
    EXPECT_EQ(j["tokens"].size(), 8u);
    return j["backend"]["matrices"];
  }
  static int cached(const ProgramResult& result) { return matrices(result)["cached"].get<int>(); }
  static json hash(const ProgramResult& result) { return json::parse(result.out)["logits_hash"]; }

  std::vector<fs::path> files() const {
    std::vector<fs::path> paths;
    if (!fs::exists(folder_ / "cache/bitnet/prepack")) return paths;
    for (const auto& entry : fs::directory_iterator(folder_ / "cache/bitnet/prepack")) paths.push_back(entry.path());
    return paths;
  }
  std::string only_file() const {
    EXPECT_EQ(files().size(), 1u);
    return files().at(0).string();
  }

  TempFolder folder_;
};

TEST_F(Prepack, TheSecondStartMapsWhatTheFirstMade) {
  const ProgramResult first = run(), second = run();
  EXPECT_EQ(matrices(first), (json{{"native", 0}, {"packed", kMatrices}, {"converted", 0}, {"cached", 0}}));
  EXPECT_EQ(matrices(second), (json{{"native", 0}, {"packed", kMatrices}, {"converted", 0}, {"cached", kMatrices}}));
  EXPECT_EQ(hash(first), hash(second));
  EXPECT_EQ(files().size(), 1u);
}

TEST_F(Prepack, EachPluginHasItsOwnFile) {
  run();
  const ProgramResult first = run({}, "cpu_portable"), second = run({}, "cpu_portable");
  EXPECT_EQ(matrices(first), (json{{"native", 0}, {"packed", 0}, {"converted", kMatrices}, {"cached", 0}}));
  EXPECT_EQ(cached(second), kMatrices);
  EXPECT_EQ(hash(first), hash(run()));
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(Prepack, NativeWeightsMakeNoFile) {
  const ProgramResult result = run({"-m", std::string(BITNET_BINARY_DIR) + "/share/bitnet/models/story.gguf"});
  EXPECT_EQ(matrices(result)["native"], kMatrices);
  EXPECT_TRUE(files().empty());
}

TEST_F(Prepack, CanBeSwitchedOff) {
  EXPECT_EQ(cached(run({"--no-prepack-cache"})), 0);
  EXPECT_EQ(cached(run({}, "cpu_avx2", {{"BITNET_ARG_NO_PREPACK_CACHE", "1"}})), 0);
  EXPECT_TRUE(files().empty());
  run();
  EXPECT_EQ(cached(run({"--no-prepack-cache"})), 0) << "what is there is not read either";
}

// Header, table, and the first and last rows of a matrix, which are always looked at; the file ends with one's last row.
TEST_F(Prepack, AFlippedBitIsNoticedAndTheFileMadeAnew) {
  const json expected = hash(run());
  const std::string path = only_file(), good = read_text(path);
  for (const size_t at : {size_t{8}, size_t{600}, kPage, kPage + 63, good.size() - 1}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    write_text(path, bad);
    const ProgramResult result = run({"-v"});
    EXPECT_EQ(cached(result), 0) << "byte " << at;
    EXPECT_EQ(hash(result), expected) << "byte " << at;
    EXPECT_NE(result.err.find("is not used and removed: "), std::string::npos) << result;
    EXPECT_TRUE(read_text(path) == good) << "made anew";
  }
  EXPECT_EQ(cached(run()), kMatrices);
}

// The self-test multiplies rows by a fixed vector and cannot see the columns where that is 0: only the comparison of rows can.
TEST_F(Prepack, AFlippedBitThatNoProductShowsIsNoticed) {
  const json expected = hash(run());
  const std::string path = only_file();
  std::string bytes = read_text(path);
  uint32_t column = 0;
  while ((column * 2654435761u >> 16 & 0xFF) % 255 != 127) ++column;
  ASSERT_LT(column, 768u);
  // bn.i2s128; the file ends with the last layer's ffn_down of 256 rows and 768 columns: its row 0.
  const size_t start = bytes.size() - 256 * 768 / 4;
  bytes[start + column / 128 * 32 + column % 32] ^= static_cast<char>(1 << (6 - 2 * (column % 128 / 32)));
  write_text(path, bytes);
  const ProgramResult result = run({"-v"});
  EXPECT_EQ(cached(result), 0);
  EXPECT_NE(result.err.find("rows of matrix 27 (ffn_down) differ from the model's"), std::string::npos) << result;
  EXPECT_EQ(hash(result), expected);
}

TEST_F(Prepack, TwoProgramsAtOnce) {
  const json expected = hash(run({"--no-prepack-cache"}));
  std::vector<ProgramResult> results(4);
  std::vector<std::thread> threads;
  for (ProgramResult& result : results) threads.emplace_back([&] { result = run(); });
  for (std::thread& thread : threads) thread.join();
  for (const ProgramResult& result : results) EXPECT_EQ(hash(result), expected);
  EXPECT_EQ(files().size(), 1u);
  EXPECT_EQ(cached(run()), kMatrices);
}

TEST_F(Prepack, AFileSizeLimitOnlyMeansNoCache) {
  const std::string command = "ulimit -f 64; exec \"$@\"";
  const ProgramResult result = run_program({"-c", command, "sh", BITNET_RUN, "-m", kModel, "-p", "Once", "-n", "8", "--greedy",
                                            "--json", "-v", "--backend", "cpu_avx2"},
                                           {.program = "/bin/sh", .env = {{"XDG_CACHE_HOME", folder_ / "cache"}}});
  EXPECT_EQ(cached(result), 0);
  EXPECT_NE(result.err.find(" not kept: File too large"), std::string::npos) << result;
  EXPECT_TRUE(files().empty());
}

TEST_F(Prepack, AnUnusableFolderOnlyMeansNoCache) {
  fs::create_directories(folder_ / "cache/bitnet");
  fs::permissions(folder_ / "cache/bitnet", fs::perms::owner_all);
  write_text(folder_ / "cache/bitnet/prepack", "");
  const ProgramResult result = run({"-v"});
  EXPECT_EQ(cached(result), 0);
  EXPECT_NE(result.err.find("prepack cache: not used"), std::string::npos) << result;
}

// ------------------------------------------------------------------- the int8 copy of the output head, of native weights
class HeadCopy : public Prepack {
 protected:
  json head(const std::vector<std::string>& more = {}, const std::string& backend = "cpu_avx2") {
    std::vector<std::string> args = {"-m", std::string(BITNET_BINARY_DIR) + "/share/bitnet/models/story.gguf", "--head",
                                     "screened", "-v"};
    args.insert(args.end(), more.begin(), more.end());
    last_ = run(args, backend);
    EXPECT_EQ(last_.exit_code, 0) << last_;
    const json j = json::parse(last_.out, nullptr, false);
    tokens_ = j["tokens"];
    return j["head"];
  }
  ProgramResult last_;
  json tokens_;
};

TEST_F(HeadCopy, IsMappedAtTheSecondStartByEveryPlugin) {
  const json first = head();
  EXPECT_EQ(first["cached"], false);
  EXPECT_EQ(files().size(), 1u);
  const json tokens = tokens_, second = head();
  EXPECT_EQ(second["cached"], true);
  EXPECT_EQ(second["screen_bytes"], first["screen_bytes"]);
  EXPECT_EQ(tokens_, tokens);
  EXPECT_EQ(head({}, "cpu_portable")["cached"], true);
  EXPECT_EQ(files().size(), 1u);
  EXPECT_EQ(head({"--no-prepack-cache"})["cached"], false);
}

// The first and last row, which are always looked at, and any bit of the scales and coefficients, which have a checksum.
TEST_F(HeadCopy, AFlippedBitIsNoticedAndTheFileMadeAnew) {
  head();
  const json tokens = tokens_;
  const std::string path = only_file(), good = read_text(path);
  const size_t rows = head()["screen_bytes"].get<size_t>() / (256 + 8);  // the story model's width is 256
  const size_t scales = kPage + (rows * 256 + kPage - 1) / kPage * kPage,
               coefficients = scales + (4 * rows + kPage - 1) / kPage * kPage;
  for (const size_t at : {kPage, kPage + rows * 256 - 1, scales + 4 * (rows / 2), coefficients + 4 * (rows / 3) + 1}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    write_text(path, bad);
    EXPECT_EQ(head()["cached"], false) << "byte " << at;
    EXPECT_EQ(tokens_, tokens) << "byte " << at;
    EXPECT_NE(last_.err.find("is not used and removed: "), std::string::npos) << last_;
    EXPECT_TRUE(read_text(path) == good) << "made anew";
  }
  EXPECT_EQ(head()["cached"], true);
}

// Damage in the middle may be missed at the start; a row that it singles out is computed, and then the copy is not used.
TEST_F(HeadCopy, DamageThatTheStartMissesDoesNotChangeTheText) {
  head();
  const json tokens = tokens_;
  const std::string path = only_file();
  std::string bytes = read_text(path);
  const size_t rows = head()["screen_bytes"].get<size_t>() / (256 + 8);
  const size_t begin = kPage + rows / 2 * 256;
  for (size_t i = 0; i < 256; ++i) bytes[begin + i] = static_cast<char>(bytes[begin + i] > 0 ? 127 : -127);
  write_text(path, bytes);
  for (int i = 0; i < 3; ++i) {
    head();
    EXPECT_EQ(tokens_, tokens);
  }
}

}  // namespace
}  // namespace bitnet::test
