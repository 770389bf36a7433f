// unit/store/model_hash_test.cpp - the hash of a file, remembered as long as nothing about the file changed.
#include "store/model_hash.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/state_file.h"
#include "support/files.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
using store::model_sha256;

constexpr const char* kHashOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

class ModelHashTest : public testing::Test {
 protected:
  ModelHashTest() { ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1); }
  ~ModelHashTest() override { ::unsetenv("XDG_CACHE_HOME"); }
  json kept() const { return StateFile("model_hashes.json", 1).read(); }
  TempFolder folder_;
};

TEST_F(ModelHashTest, IsTheFilesSha256) {
  write_text(folder_ / "m", "abc");
  EXPECT_EQ(model_sha256(folder_ / "m"), kHashOfAbc);
  EXPECT_THROW(model_sha256(folder_ / "absent"), Error);
}

// The expected value is what sha256sum says of the two lines.
TEST_F(ModelHashTest, OfACheckpointIsThatOfTheListOfItsFiles) {
  for (const char* name : {"config.json", "model.safetensors", "README.md"}) write_text(folder_ / name, "abc");
  const std::string expected = "7c9d6b1108c1739253a94778b12650023feb5471c1d2f68e8ce2d27b55f478fb";
  EXPECT_EQ(model_sha256(folder_.path().string()), expected);
  EXPECT_EQ(model_sha256(folder_ / "model.safetensors"), expected);
  write_text(folder_ / "model.safetensors", "abd");
  EXPECT_NE(model_sha256(folder_.path().string()), expected);
}

TEST_F(ModelHashTest, AFileJustWrittenIsNotRemembered) {
  write_text(folder_ / "m", "abc");
  model_sha256(folder_ / "m");
  EXPECT_TRUE(kept().empty()) << kept();  // it may change again within the grain of its time
}

TEST_F(ModelHashTest, IsRememberedForAQuietFileAndForgottenWithAnyChange) {
  const std::string quiet = "/bin/sh";
  const std::string hash = model_sha256(quiet);
  ASSERT_EQ(kept().size(), 1u);
  const std::string identity = kept().begin().key(), other(64, 'e');
  StateFile("model_hashes.json", 1).update([&](json& hashes) { hashes[identity]["sha256"] = other; });
  EXPECT_EQ(model_sha256(quiet), other);
  for (const json& damaged : {json("short"), json(7), json(std::string(64, 'Z')), json()}) {
    StateFile("model_hashes.json", 1).update([&](json& hashes) { hashes[identity]["sha256"] = damaged; });
    EXPECT_EQ(model_sha256(quiet), hash);
  }
}

}  // namespace
}  // namespace bitnet::test
