// safetensors_faults_test.cpp - damaged files and indices: each kind is refused with the file, the place and what was expected.
#include <cmath>
#include <random>

#include "small_checkpoint.h"

namespace bitnet::checkpoint_test {
namespace {

const std::string kNorm = "model.norm.weight";

// Spoils the header of a sound file.
struct HeaderFault {
  const char* name;
  std::function<void(json&)> spoil;
  std::vector<const char*> words;
};
void PrintTo(const HeaderFault& fault, std::ostream* out) { *out << fault.name; }

const HeaderFault kFaults[] = {
    {"not_an_object", [](json& h) { h = json::array(); }, {"no JSON object"}},
    {"entry_number", [](json& h) { h[kNorm] = 7; }, {kNorm.c_str(), "no JSON object"}},
    {"dtype_missing", [](json& h) { h[kNorm].erase("dtype"); }, {"no dtype"}},
    {"dtype_unknown", [](json& h) { h[kNorm]["dtype"] = "F8_E4M3"; }, {"F8_E4M3", "expected U8"}},
    {"shape_missing", [](json& h) { h[kNorm].erase("shape"); }, {"no shape"}},
    {"shape_negative", [](json& h) { h[kNorm]["shape"] = {-8}; }, {"shape", "-8"}},
    {"shape_overflow",
     [](json& h) {
       h[kNorm]["shape"] = {1ull << 40, 1ull << 40};
     },
     {"overflows"}},
    {"shape_bytes_overflow", [](json& h) { h[kNorm]["shape"] = {1ull << 62}; }, {"overflows"}},
    {"shape_deep",
     [](json& h) {
       h[kNorm]["shape"] = {1, 1, 1, 1, 8};
     },
     {"5 extents"}},
    {"size", [](json& h) { h[kNorm]["shape"] = {7}; }, {"32 bytes of data", "[7] take 28"}},
    {"offsets_beyond",
     [](json& h) {
       h[kNorm]["data_offsets"] = {1u << 20, (1u << 20) + 32};
     },
     {"data_offsets", "is the file cut"}},
    {"offsets_backward",
     [](json& h) {
       h[kNorm]["data_offsets"] = {32, 0};
     },
     {"data_offsets"}},
    {"offsets_one", [](json& h) { h[kNorm]["data_offsets"] = {32}; }, {"data_offsets"}},
    {"offsets_float",
     [](json& h) {
       h[kNorm]["data_offsets"] = {0.5, 32};
     },
     {"0.5"}},
    {"overlap",
     [](json& h) {
       h[kNorm]["data_offsets"] = {4, 36};
     },
     {"overlap"}},
};

class HeaderFaults : public testing::TestWithParam<HeaderFault> {};

TEST_P(HeaderFaults, AreRefused) {
  const test::TempFolder folder;
  const SmallCheckpoint c;
  write(folder, c);
  json header = c.header();
  GetParam().spoil(header);
  test::write_text(folder / "model.safetensors", safetensors_bytes(header.dump(), c.data()));
  const std::string message = error_of_opening(folder.path().string());
  EXPECT_NE(message.find("model.safetensors"), std::string::npos) << message;
  for (const char* word : GetParam().words) EXPECT_NE(message.find(word), std::string::npos) << word << " in: " << message;
}

INSTANTIATE_TEST_SUITE_P(Kinds, HeaderFaults, testing::ValuesIn(kFaults), [](const auto& tested) { return tested.param.name; });

std::string error_of_bytes(const std::string& bytes) {
  const test::TempFolder folder;
  write(folder, {});
  test::write_text(folder / "model.safetensors", bytes);
  return error_of_opening(folder.path().string());
}

TEST(SafetensorsBytes, ThatAreNoHeaderAreRefused) {
  EXPECT_NE(error_of_bytes("").find("too short"), std::string::npos);
  EXPECT_NE(error_of_bytes("1234567").find("too short"), std::string::npos);
  EXPECT_NE(error_of_bytes(std::string(8, '\xff') + "{}").find("header"), std::string::npos);
  EXPECT_NE(error_of_bytes(safetensors_bytes("{\"a\":", "")).find("not valid JSON"), std::string::npos);
  EXPECT_NE(error_of_bytes(safetensors_bytes("{\"a\":{},\"a\":{}}", "")).find("twice"), std::string::npos);
  EXPECT_NE(error_of_bytes(safetensors_bytes(std::string(100000, '['), "")).find("deeper than 64"), std::string::npos);
}

// Cut anywhere, the file is refused or, where only padding went, read; nothing else happens.
TEST(SafetensorsBytes, CutAnywhereAreRefused) {
  const SmallCheckpoint c;
  const std::string whole = safetensors_bytes(c.header().dump(), c.data());
  for (size_t n = 0; n < whole.size(); n += n < 64 ? 1 : 37) EXPECT_FALSE(error_of_bytes(whole.substr(0, n)).empty()) << n;
}

// Bytes changed at random: an error of ours or a model, never a crash (this is run with sanitizers).
TEST(SafetensorsBytes, ChangedAtRandomNeverCrash) {
  const test::TempFolder folder;
  const SmallCheckpoint c;
  write(folder, c);
  const std::string whole = safetensors_bytes(c.header().dump(), c.data());
  std::minstd_rand random(7);
  int opened = 0;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole;
    const size_t first = i % 2 == 0 ? bytes.size() - c.data().size() : 0;
    for (int k = 0; k < 3; ++k) bytes[first + random() % (bytes.size() - first)] = static_cast<char>(random());
    test::write_text(folder / "model.safetensors", bytes);
    try {
      checkpoint::open_checkpoint(folder.path().string());
      ++opened;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalidModel) << error.what();
    }
  }
  EXPECT_GT(opened, 0) << "the bytes of weights may be anything";
}

// An index with one shard, spoilt.
std::string error_of_index(const json& index) {
  const test::TempFolder folder;
  write(folder, {});
  std::filesystem::rename(folder / "model.safetensors", folder / "one.safetensors");
  test::write_text(folder / "model.safetensors.index.json", index.dump());
  return error_of_opening(folder.path().string());
}

TEST(Index, FaultsAreRefused) {
  json map;
  for (const auto& [name, tensor] : SmallCheckpoint().tensors) map[name] = "one.safetensors";
  const auto with = [&](const char* name, const json& file) {
    json changed = map;
    changed[name] = file;
    return json{{"weight_map", changed}};
  };
  EXPECT_NE(error_of_index(json::object()).find("weight_map"), std::string::npos);
  EXPECT_NE(error_of_index({{"weight_map", 3}}).find("weight_map"), std::string::npos);
  EXPECT_NE(error_of_index({{"weight_map", json::object()}}).find("0 shards"), std::string::npos);
  EXPECT_NE(error_of_index(with("model.norm.weight", 5)).find("no file name"), std::string::npos);
  EXPECT_NE(error_of_index(with("model.norm.weight", "../one.safetensors")).find("beside the index"), std::string::npos);
  EXPECT_NE(error_of_index(with("model.norm.weight", "two.safetensors")).find("two.safetensors"), std::string::npos);
  EXPECT_NE(error_of_index(with("ghost", "one.safetensors")).find("ghost is in no shard"), std::string::npos);
}

}  // namespace
}  // namespace bitnet::checkpoint_test
