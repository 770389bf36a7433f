// e2e/model_errors_test.cpp - broken model files, by the rows of the list of bad inputs: exit code 3, one clear line, no crash,
// bounded time and memory.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "gguf/reader.h"
#include "gguf/writer.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

const std::string& story() {
  static const std::string bytes = read_text(BITNET_BINARY_DIR "/share/bitnet/models/story.gguf");
  return bytes;
}

// Runs the program on these bytes as a model. The address space is limited, so an allocation by a count from the file fails.
ProgramResult run_on_file(const std::string& path) {
  const char* limit = BITNET_SANITIZED ? "" : "ulimit -v 1000000; ";  // a sanitizer reserves terabytes of address space
  const std::string command = std::string(limit) + "exec \"$0\" -m \"$1\" -p Once -n 2 --greedy --check-tensors -t 1";
  return run_program({"-c", command, BITNET_RUN, path}, {.program = "/bin/sh", .timeout = 30});
}

ProgramResult run_on(const std::string& bytes) {
  const TempFolder folder;
  write_text(folder / "model.gguf", bytes);
  return run_on_file(folder / "model.gguf");
}

void expect_refused(const ProgramResult& result, const std::string& word) {
  EXPECT_EQ(result.exit_code, 3) << word << result;
  EXPECT_EQ(result.out, "") << result;
  EXPECT_EQ(result.err.rfind("error: ", 0), 0u) << result;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result;
  EXPECT_NE(result.err.find(word), std::string::npos) << "expected '" << word << "'" << result;
}

// Where the value of a key lies in the story file.
uint64_t offset_of_key(const char* key) {
  static const gguf::File file(BITNET_BINARY_DIR "/share/bitnet/models/story.gguf");
  return file.find(key)->offset;
}
uint64_t offset_of_tensor(const char* name) {
  static const gguf::File file(BITNET_BINARY_DIR "/share/bitnet/models/story.gguf");
  return file.find_tensor(name)->offset;
}

template <class T>
std::string with(uint64_t offset, T value) {
  std::string bytes = story();
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  return bytes;
}

std::string with_key(const char* key, uint32_t value) { return with(offset_of_key(key), value); }

TEST(ModelErrors, F01_not_a_regular_file) {
  const TempFolder folder;
  expect_refused(run_on_file(folder.path().string()), "not a regular file");
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  expect_refused(run_on_file(folder / "fifo"), "not a regular file");
  expect_refused(run_on_file("/dev/zero"), "not a regular file");
  expect_refused(run_on_file(folder / "absent"), "absent");
  expect_refused(run_on(""), "too short");
  expect_refused(run_on("GGUF\3"), "too short");
}

TEST(ModelErrors, F02_other_content) {
  expect_refused(run_on("<!DOCTYPE html><html><body>Sign in</body></html>"), "HTML");
  expect_refused(run_on("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 5\n"), "LFS");
}

TEST(ModelErrors, F03_version) {
  expect_refused(run_on(with<uint32_t>(4, 1)), "version");
  expect_refused(run_on(with<uint32_t>(4, 4)), "version");
  expect_refused(run_on(with<uint32_t>(4, 0x03000000)), "endian");
}

TEST(ModelErrors, F04_F05_counts) {
  for (const uint64_t count : {uint64_t{1000000000}, uint64_t{1} << 62, std::numeric_limits<uint64_t>::max()}) {
    expect_refused(run_on(with(8, count)), "tensor");
    expect_refused(run_on(with(16, count)), "key");
  }
}

TEST(ModelErrors, F07_F09_lengths) {
  expect_refused(run_on(with<uint64_t>(24, ~0ull)), "key");  // length of the first key's name
  expect_refused(run_on(with<uint64_t>(offset_of_key("general.name") - 8, 1ull << 40)), "general.name");
  expect_refused(run_on(with<uint64_t>(offset_of_key("tokenizer.ggml.tokens") - 8, 1ull << 62)), "tokenizer.ggml.tokens");
}

TEST(ModelErrors, F14_cut_at_every_64th) {
  for (int i = 0; i < 64; i += BITNET_SANITIZED ? 9 : 1) {  // the readers alone meet every cut in tier unit
    const std::string bytes = story().substr(0, story().size() * static_cast<size_t>(i) / 64);
    const ProgramResult result = run_on(bytes);
    EXPECT_EQ(result.exit_code, 3) << "cut at " << bytes.size() << result;
    EXPECT_NE(result.err.find("error: "), std::string::npos) << result;
  }
}

TEST(ModelErrors, F16_tensors_that_do_not_fit_the_keys) {
  // One name with another letter: the tensor is missing and an unknown one is there; both are told.
  std::string bytes = story();
  bytes.replace(bytes.find("blk.0.attn_q.weight"), 19, "blk.0.attn_x.weight");
  const ProgramResult result = run_on(bytes);
  expect_refused(result, "blk.0.attn_q.weight is missing");
  EXPECT_NE(result.err.find("unexpected tensor blk.0.attn_x.weight"), std::string::npos) << result;
  expect_refused(run_on(with_key("bitnet-b1.58.feed_forward_length", 1024)),
                 "blk.0.ffn_gate.weight is {256, 768}, expected {256, 1024}");
}

TEST(ModelErrors, F17_hyper_parameters) {
  const std::string prefix = "bitnet-b1.58.";
  const auto refuse = [&](const char* key, uint32_t value) {
    expect_refused(run_on(with_key((prefix + key).c_str(), value)), key);
  };
  refuse("block_count", 0);
  refuse("block_count", 513);
  refuse("block_count", 1000000000);
  refuse("attention.head_count", 0);
  refuse("attention.head_count_kv", 0);
  refuse("context_length", 0);
  refuse("context_length", 1u << 31);
  refuse("rope.dimension_count", 63);
  refuse("embedding_length", 0);
  expect_refused(run_on(with_key("bitnet-b1.58.attention.head_count_kv", 3)), "4 heads cannot share 3");
  for (const float eps : {0.0f, -1e-5f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    expect_refused(run_on(with(offset_of_key("bitnet-b1.58.attention.layer_norm_rms_epsilon"), eps)), "layer_norm_rms_epsilon");
  }
  expect_refused(run_on(with(offset_of_key("bitnet-b1.58.rope.freq_base"), std::numeric_limits<float>::quiet_NaN())),
                 "rope.freq_base");
}

TEST(ModelErrors, F19_special_ids) {
  for (const uint32_t id : {2048u, ~0u}) expect_refused(run_on(with_key("tokenizer.ggml.bos_token_id", id)), "bos");
}

TEST(ModelErrors, F21_weights) {
  const uint64_t matrix = offset_of_tensor("blk.2.ffn_up.weight");
  expect_refused(run_on(with<uint8_t>(matrix + 5000, 0xFF)), "blk.2.ffn_up.weight");  // code 3
  expect_refused(run_on(with(matrix + 256 * 768 / 4, std::numeric_limits<float>::quiet_NaN())), "blk.2.ffn_up.weight");
  expect_refused(run_on(with(offset_of_tensor("blk.1.attn_norm.weight") + 8, std::numeric_limits<float>::infinity())),
                 "blk.1.attn_norm.weight");
  expect_refused(run_on(with<uint16_t>(offset_of_tensor("token_embd.weight") + 20, 0x7E00)), "token_embd.weight");
}

TEST(ModelErrors, F22_a_model_that_computes_nonsense_asks_one_more_backend_and_stops) {
  std::string bytes = story();  // all embeddings zero: every logit is the same
  std::memset(bytes.data() + offset_of_tensor("token_embd.weight"), 0, 2048 * 256 * 2);
  const ProgramResult result = run_on(bytes);
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_NE(result.err.find("all equal"), std::string::npos) << result;
  EXPECT_NE(result.err.find("using "), std::string::npos) << result;
}

TEST(ModelErrors, F26_unknown_architecture) {
  std::string bytes = story();
  bytes.replace(offset_of_key("general.architecture"), 12, "mamba-b1.58x");
  expect_refused(run_on(bytes), "bitnet-25");
}

// The file that people try first: no list of tensors, but what it is and what runs it.
TEST(ModelErrors, F26_a_model_that_is_not_ternary) {
  const TempFolder folder;
  for (const std::string architecture : {"llama", "qwen2"}) {
    gguf::Writer w(folder / "model.gguf");
    w.add_string("general.architecture", architecture);
    for (const auto& [key, value] : std::initializer_list<std::pair<const char*, uint32_t>>{{"block_count", 1},
                                                                                            {"embedding_length", 256},
                                                                                            {"context_length", 64},
                                                                                            {"feed_forward_length", 256},
                                                                                            {"attention.head_count", 4}}) {
      w.add_key<uint32_t>(architecture + "." + key, value);
    }
    w.add_key<float>(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
    std::vector<uint64_t> sizes = {w.add_tensor("token_embd.weight", gguf::Type::kF16, {256, 8})};
    for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
      sizes.push_back(w.add_tensor(std::string("blk.0.") + name + ".weight", gguf::Type::kQ4_K, {256, 256}));
    }
    for (const uint64_t bytes : sizes) w.skip(bytes);
    w.finish();
    const ProgramResult result = run_on_file(folder / "model.gguf");
    expect_refused(result, "no ternary model: its matrices are Q4_K, expected I2_S");
    EXPECT_NE(result.err.find("llama.cpp"), std::string::npos) << result;
    EXPECT_LT(result.err.size(), 700u) << result;
    const ProgramResult inspected = run_program({"inspect", folder / "model.gguf"});
    EXPECT_NE(inspected.out.find("none can run it: "), std::string::npos) << inspected;
    std::filesystem::remove(folder / "model.gguf");
  }
}

TEST(ModelErrors, F01_a_folder_that_is_no_checkpoint) {
  const TempFolder folder;
  expect_refused(run_program({"-m", folder.path().string(), "-p", "x"}), "model.safetensors.index.json");
  expect_refused(run_program({"inspect", folder.path().string()}), "model.safetensors.index.json");
}

TEST(ModelErrors, E01_file_truncated_while_in_use) {
  const TempFolder folder;
  write_text(folder / "model.gguf", story());
  // The mock waits in its first attention call, long enough for the file to shrink under the mapping.
  const std::string command =
      "\"$0\" -m \"$1\" -p Once -n 4 --greedy -t 1 --backend mock --mock-mode faithful --mock-faults 'attention@1=slow:2000' & "
      "sleep 1; : > \"$1\"; wait $!; echo code $?";
  const ProgramResult result = run_program({"-c", command, BITNET_RUN, folder / "model.gguf"}, {.program = "/bin/sh"});
  EXPECT_NE(result.out.find("code 3"), std::string::npos) << result;
  EXPECT_NE(result.err.find("model.gguf: the file changed or shrank"), std::string::npos) << result;
}

}  // namespace
}  // namespace bitnet::test
