// e2e/validate_test.cpp - "validate" and "inspect" on sound and on broken files: every fault under its kind, with its numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "gguf/reader.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

const std::string kStory = BITNET_BINARY_DIR "/share/bitnet/models/story.gguf";

const std::string& story() {
  static const std::string bytes = read_text(kStory);
  return bytes;
}

const gguf::File& opened() {
  static const gguf::File file(kStory);
  return file;
}

uint64_t key_at(const char* key) { return opened().find(key)->offset; }
const gguf::TensorInfo& tensor(const char* name) { return *opened().find_tensor(name); }

// Where the description of a tensor has its type and its offset: behind name, count and extents.
uint64_t description_at(const char* name) {
  const uint64_t at = story().find(name) + std::strlen(name);
  return at + 4 + 8 * tensor(name).n_dims;
}

template <class T>
std::string with(uint64_t offset, T value) {
  std::string bytes = story();
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  return bytes;
}

// The key goes by another name.
std::string without_key(const std::string& key) {
  std::string bytes = story();
  bytes[bytes.find(key) + key.size() - 1] = '_';
  return bytes;
}

struct Checked {
  ProgramResult result;
  json report;
};

Checked check(const std::string& bytes, std::vector<std::string> more = {}) {
  const TempFolder folder;
  write_text(folder / "model.gguf", bytes);
  std::vector<std::string> args = {"validate", folder / "model.gguf", "--json"};
  args.insert(args.end(), more.begin(), more.end());
  const ProgramResult result = run_program(args);
  return {result, json::parse(result.out, nullptr, false)};
}

const json* find_kind(const json& findings, const std::string& kind) {
  for (const json& f : findings) {
    if (f["kind"] == kind) return &f;
  }
  return nullptr;
}

TEST(Validate, ASoundFileIsValidAndDescribed) {
  const Checked c = check(story(), {"--strict"});
  ASSERT_EQ(c.result.exit_code, 0) << c.result;
  const json& r = c.report;
  EXPECT_EQ(r["valid"], true);
  EXPECT_EQ(r["header_valid"], true);
  EXPECT_EQ(r["tensors_accessible"], true);
  EXPECT_TRUE(r["errors"].empty());
  EXPECT_TRUE(r["warnings"].empty());
  EXPECT_EQ(r["bitnet_info"], (json{{"quantization_type", "I2_S"}, {"group_size", 128}}));
  EXPECT_EQ(r["tensor_info"].size(), 46u);
  EXPECT_EQ(r["steps"].size(), 5u);
  EXPECT_EQ(r["tokenizer"]["vocab_size_match"], true);
  EXPECT_EQ(r["tokenizer"]["model_expectations"], (json{{"expected", 2048}, {"actual", 2048}, {"embedding_dim", 256}}));
}

struct FileFault {
  const char* name;
  const char* kind;
  std::function<std::string()> bytes;
  std::function<void(const json& finding)> look = nullptr;
};
void PrintTo(const FileFault& fault, std::ostream* out) { *out << fault.name; }

const FileFault kFaults[] = {
    {"magic", "InvalidHeader", [] { return with<uint32_t>(0, 0x21212121); }},
    {"version", "InvalidHeader", [] { return with<uint32_t>(4, 4); }},
    {"empty", "InvalidHeader", [] { return std::string(); }},
    {"header_cut", "TruncatedFile", [] { return story().substr(0, 5000); }},
    {"no_layers", "InvalidMetadata", [] { return with<uint32_t>(key_at("bitnet-b1.58.block_count"), 0); }},
    {"epsilon_nan", "InvalidMetadata",
     [] { return with<float>(key_at("bitnet-b1.58.attention.layer_norm_rms_epsilon"), NAN); }},
    {"heads_missing", "MissingMetadata", [] { return without_key("bitnet-b1.58.attention.head_count"); },
     [](const json& f) { EXPECT_EQ(f["name"], "bitnet-b1.58.attention.head_count"); }},
    {"misaligned", "TensorAlignment",
     [] {
       const uint64_t at = description_at("blk.1.attn_k.weight") + 4;
       return with<uint64_t>(at, tensor("blk.1.attn_k.weight").offset - opened().data_start() + 8);
     },
     [](const json& f) {
       EXPECT_EQ(f["name"], "blk.1.attn_k.weight");
       EXPECT_EQ(f["offset"], tensor("blk.1.attn_k.weight").offset + 8);
       EXPECT_EQ(f["expected"], 32);
     }},
    {"beyond_the_file", "TensorOutOfBounds",
     [] { return with<uint64_t>(description_at("output_norm.weight") + 4, uint64_t{1} << 40); },
     [](const json& f) {
       EXPECT_EQ(f["name"], "output_norm.weight");
       EXPECT_EQ(f["offset"], opened().data_start() + (uint64_t{1} << 40));
       EXPECT_EQ(f["found"], story().size());
     }},
    {"overlap", "TensorOverlap",
     [] {
       const uint64_t at = description_at("blk.1.attn_sub_norm.weight") + 4;
       return with<uint64_t>(at, tensor("blk.1.attn_sub_norm.weight").offset - opened().data_start() - 32);
     },
     [](const json& f) { EXPECT_EQ(f["name"], "blk.1.attn_norm.weight"); }},
    {"type_unknown", "UnsupportedQuantization", [] { return with<uint32_t>(description_at("blk.0.attn_q.weight"), 999); },
     [](const json& f) { EXPECT_EQ(f["name"], "blk.0.attn_q.weight"); }},
    {"shape_against_keys", "DimensionMismatch", [] { return with<uint32_t>(key_at("bitnet-b1.58.feed_forward_length"), 512); }},
    {"layer_too_many", "TensorSet", [] { return with<uint32_t>(key_at("bitnet-b1.58.block_count"), 5); },
     [](const json& f) { EXPECT_NE(f["message"].get<std::string>().find("blk.4."), std::string::npos) << f; }},
    {"code_3", "IllegalCode", [] { return with<uint8_t>(tensor("blk.2.ffn_up.weight").offset, 0xFF); },
     [](const json& f) { EXPECT_EQ(f["name"], "blk.2.ffn_up.weight"); }},
    {"scale_nan", "UnusableNumber",
     [] { return with<float>(tensor("blk.2.ffn_up.weight").offset + tensor("blk.2.ffn_up.weight").bytes - 32, NAN); }},
    {"embedding_nan", "UnusableNumber", [] { return with<uint16_t>(tensor("token_embd.weight").offset + 20, 0x7E00); },
     [](const json& f) { EXPECT_EQ(f["name"], "token_embd.weight"); }},
    {"bos_beyond", "InvalidTokenizer", [] { return with<uint32_t>(key_at("tokenizer.ggml.bos_token_id"), 2048); }},
};

class ValidateFault : public testing::TestWithParam<FileFault> {};

TEST_P(ValidateFault, IsAnErrorOfItsKind) {
  const Checked c = check(GetParam().bytes());
  ASSERT_EQ(c.result.exit_code, 3) << c.result;
  const json* finding = find_kind(c.report["errors"], GetParam().kind);
  ASSERT_NE(finding, nullptr) << c.report["errors"].dump(1);
  EXPECT_FALSE((*finding)["message"].get<std::string>().empty());
  if (GetParam().look) GetParam().look(*finding);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ValidateFault, testing::ValuesIn(kFaults),
                         [](const auto& tested) { return tested.param.name; });

// One fault does not hide the next: three tensors, three faults, and the tokenizer is judged as well.
TEST(Validate, GoesOnAfterAFault) {
  std::string bytes = story();
  const auto put = [&](uint64_t at, auto value) { std::memcpy(bytes.data() + at, &value, sizeof value); };
  put(description_at("blk.0.attn_q.weight"), uint32_t{999});
  put(description_at("blk.1.attn_q.weight") + 4, uint64_t{1} << 41);
  put(tensor("blk.2.ffn_up.weight").offset, uint8_t{0xFF});
  put(key_at("tokenizer.ggml.eos_token_id"), uint32_t{1} << 30);
  const Checked c = check(bytes);
  EXPECT_EQ(c.result.exit_code, 3) << c.result;
  for (const char* kind : {"UnsupportedQuantization", "TensorOutOfBounds", "IllegalCode", "InvalidTokenizer"}) {
    EXPECT_NE(find_kind(c.report["errors"], kind), nullptr) << kind << c.report["errors"].dump(1);
  }
  EXPECT_EQ(c.report["tensors_accessible"], false);
}

// A cut in the weights may still be a good file to come: a warning, and an error when strict.
TEST(Validate, ACutInTheWeightsIsAWarningUnlessStrict) {
  const std::string bytes = story().substr(0, story().size() - 100000);
  const Checked c = check(bytes);
  EXPECT_EQ(c.result.exit_code, 0) << c.result;
  EXPECT_NE(find_kind(c.report["warnings"], "TruncatedFile"), nullptr);
  EXPECT_EQ(c.report["tensors_accessible"], false);
  EXPECT_EQ(check(bytes, {"--strict"}).result.exit_code, 3);
}

TEST(Validate, MissingQuantizationVersionIsAWarning) {
  const Checked c = check(without_key("general.quantization_version"));
  EXPECT_EQ(c.result.exit_code, 0) << c.result;
  EXPECT_NE(find_kind(c.report["warnings"], "MissingMetadata"), nullptr);
}

TEST(Validate, WritesTextAndJUnit) {
  const TempFolder folder;
  write_text(folder / "a&b.gguf", with<uint8_t>(tensor("blk.2.ffn_up.weight").offset, 0xFF));
  const ProgramResult text = run_program({"validate", folder / "a&b.gguf"});
  EXPECT_EQ(text.exit_code, 3);
  EXPECT_NE(text.out.find("error: IllegalCode"), std::string::npos) << text;
  EXPECT_NE(text.out.find("INVALID"), std::string::npos) << text;
  const ProgramResult junit = run_program({"validate", "-m", folder / "a&b.gguf", "--format", "junit"});
  EXPECT_EQ(junit.exit_code, 3);
  EXPECT_NE(junit.out.find("tests=\"5\" failures=\"2\" skipped=\"0\""), std::string::npos) << junit;
  EXPECT_NE(junit.out.find("a&amp;b.gguf"), std::string::npos) << junit;
}

TEST(Validate, UsageErrorsSayWhat) {
  EXPECT_EQ(run_program({"validate", kStory, "-m", kStory}).exit_code, 2);
  EXPECT_EQ(run_program({"validate", kStory, "twice"}).exit_code, 2);
  EXPECT_EQ(run_program({"validate", "/nowhere"}).exit_code, 3);
  EXPECT_EQ(run_program({"validate", ""}).exit_code, 2);
}

TEST(Inspect, ShowsKeysTensorsMemoryAndBackends) {
  const ProgramResult result = run_program({"inspect", kStory, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const json r = json::parse(result.out);
  EXPECT_EQ(r["keys"].size(), 25u);
  EXPECT_EQ(r["census"][0]["type"], "F16");
  // 4 layers, 2 key/value heads of 64, keys and values, 4 bytes; 512 positions
  EXPECT_EQ(r["memory"]["kv_per_position"], 4 * 2 * 64 * 2 * 4);
  EXPECT_EQ(r["memory"]["kv_at_context"], 4 * 2 * 64 * 2 * 4 * 512);
  EXPECT_EQ(r["memory"]["file"], story().size());
  const json& q = r["tensor_info"][5];
  EXPECT_EQ(q["name"], "blk.0.attn_q.weight");
  const json& codes = q["statistics"]["codes"];
  EXPECT_EQ(codes["-1"].get<int>() + codes["0"].get<int>() + codes["1"].get<int>(), 256 * 256);
  bool portable = false;
  for (const json& b : r["backends"]["chain"]) portable |= b["backend"] == "cpu_portable";
  EXPECT_TRUE(portable) << r["backends"].dump(1);
}

// The scale that the reference names for the story model's file is the one that is shown.
TEST(Inspect, StatisticsAreThoseOfTheData) {
  float scale;
  const gguf::TensorInfo& t = tensor("blk.0.attn_q.weight");
  std::memcpy(&scale, story().data() + t.offset + t.bytes - 32, 4);
  const json r = json::parse(run_program({"inspect", kStory, "--json"}).out);
  EXPECT_EQ(r["tensor_info"][5]["statistics"]["scale_low"].get<float>(), scale);
  EXPECT_EQ(json::parse(run_program({"inspect", kStory, "--json", "--no-statistics"}).out)["tensor_info"][5]["statistics"],
            nullptr);
}

TEST(Inspect, AFileThatIsNoModelIsShownWithTheReason) {
  const TempFolder folder;
  write_text(folder / "m.gguf", with<uint32_t>(key_at("bitnet-b1.58.block_count"), 0));
  const ProgramResult result = run_program({"inspect", folder / "m.gguf"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.out.find("none can run it"), std::string::npos) << result;
  EXPECT_NE(result.out.find("tokenizer.ggml.tokens"), std::string::npos) << result;
}

}  // namespace
}  // namespace bitnet::test
