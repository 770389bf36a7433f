// unit/backend/manifest_test.cpp - the manifest: what is read, and one line for every way to be wrong.
#include "backend/manifest.h"

#include <gtest/gtest.h>

#include "backend/cpu_features.h"
#include "backend/elf_file.h"
#include "base/error.h"

namespace bitnet::backend {
namespace {

constexpr const char* kGood =
    R"({"schema":1,"abi":[1,7],"id":"org.example.a-b","name":"a_b","version":"0.1.0+x","kind":"gpu",)"
    R"("tiers":["engine","future"],"arch":["x86_64","aarch64"],"cpu":[],"numerics":"approx-1","extra":{"x":[1]}})";

std::string with(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string refusal(const std::string& json) {
  try {
    check_manifest(parse_manifest(json));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNoBackend);
    const std::string message = error.what();
    EXPECT_EQ(message.find_first_of("\n\t\x1b"), std::string::npos) << message;
    return message;
  }
  return "";
}

TEST(Manifest, IsReadKeyByKey) {
  const Manifest m = parse_manifest(kGood);
  EXPECT_EQ(m.abi_major, 1);
  EXPECT_EQ(m.abi_minor, 7);
  EXPECT_EQ(m.id, "org.example.a-b");
  EXPECT_EQ(m.name, "a_b");
  EXPECT_EQ(m.version, "0.1.0+x");
  EXPECT_EQ(m.kind, "gpu");
  EXPECT_EQ(m.numerics, "approx-1");
  EXPECT_EQ(m.tiers, (std::vector<std::string>{"engine", "future"}));
  EXPECT_EQ(m.arch, (std::vector<std::string>{"x86_64", "aarch64"}));
  EXPECT_TRUE(m.cpu.empty());
  EXPECT_EQ(refusal(kGood), "");
}

TEST(Manifest, EveryRequiredKeyIsMissed) {
  for (const char* key : {"schema", "abi", "id", "name", "version", "kind", "tiers", "arch", "cpu", "numerics"}) {
    const std::string quoted = std::string("\"") + key + "\"";
    EXPECT_EQ(refusal(with(kGood, quoted, "\"other\"")), "manifest: key " + quoted + " is missing");
  }
}

TEST(Manifest, WrongValuesAreNamed) {
  const struct {
    const char *from, *to, *reason;
  } cases[] = {
      {"\"schema\":1", "\"schema\":2", "\"schema\" must be 1"},
      {"\"schema\":1", "\"schema\":\"1\"", "\"schema\" must be 1"},
      {"[1,7]", "[1]", "\"abi\" must be [major, minor]"},
      {"[1,7]", "[1,-7]", "\"abi\" must be [major, minor]"},
      {"[1,7]", "[1e9,7]", "\"abi\" must be [major, minor]"},
      {"[1,7]", "[99999999999999999999,7]", "\"abi\" must be [major, minor]"},
      {"[1,7]", "\"1.0\"", "\"abi\" must be [major, minor]"},
      {"\"a_b\"", "\"\"", "\"name\" is \"\""},
      {"\"a_b\"", "\"a b\"", "\"name\" is \"a b\""},
      {"\"a_b\"", "\"a\\u001b[31m\"", "\"name\" is \"a\\x1b[31m\""},
      {"\"a_b\"", "7", "\"name\" must be text"},
      {"\"gpu\"", "\"quantum\"", "\"kind\" is \"quantum\", expected one of cpu, gpu, npu, test"},
      {"\"approx-1\"", "\"exact-2\"", "\"numerics\" is \"exact-2\""},
      {"[\"engine\",\"future\"]", "[\"future\"]", "\"tiers\" names neither kernels nor engine"},
      {"[\"engine\",\"future\"]", "\"engine\"", "\"tiers\" must be a list"},
      {"[\"engine\",\"future\"]", "[1]", "\"tiers\" must be text"},
      {"\"cpu\":[]", "\"cpu\":[\"\\n\"]", "\"cpu\" is \"\\n\""},
  };
  for (const auto& c : cases) {
    EXPECT_NE(refusal(with(kGood, c.from, c.to)).find(c.reason), std::string::npos) << refusal(with(kGood, c.from, c.to));
  }
}

TEST(Manifest, P5_OtherMajorVersionsAreRefusedNewerMinorsAreNot) {
  EXPECT_EQ(refusal(with(kGood, "[1,7]", "[2,0]")), "made for plugin ABI 2.0, this program has 1.x");
  EXPECT_EQ(refusal(with(kGood, "[1,7]", "[0,9]")), "made for plugin ABI 0.9, this program has 1.x");
  EXPECT_EQ(refusal(with(kGood, "[1,7]", "[1,65535]")), "");
}

TEST(Manifest, OtherMachinesAndMissingFeaturesAreRefused) {
  EXPECT_EQ(refusal(with(kGood, "[\"x86_64\",\"aarch64\"]", "[\"riscv64\"]")),
            fmt::format("made for riscv64, this machine is {}", host_arch()));
  EXPECT_EQ(refusal(with(kGood, "\"cpu\":[]", "\"cpu\":[\"nonexistent\"]")),
            "needs the CPU feature nonexistent, which this program does not know");
  for (const std::string_view feature : known_cpu_features()) {
    const std::string reason = refusal(with(kGood, "\"cpu\":[]", fmt::format("\"cpu\":[\"{}\"]", feature)));
    if (*cpu_has(feature)) {
      EXPECT_EQ(reason, "");
    } else {
      EXPECT_EQ(reason, fmt::format("needs the CPU feature {}, which this machine does not offer", feature));
    }
  }
}

TEST(Manifest, HostileJsonIsBounded) {
  EXPECT_EQ(refusal(std::string(60000, '[')), "manifest: nested more than 8 levels");
  EXPECT_NE(refusal(std::string(kMaxManifestBytes + 1, ' ')).find("at most 65536"), std::string::npos);
  EXPECT_NE(refusal(with(kGood, "\"cpu\":[]", "\"cpu\":[" + std::string(600, ',') + "]")).find("not valid JSON at byte"),
            std::string::npos);
  std::string many = "\"cpu\":[\"sse2\"";
  for (int i = 0; i < 64; ++i) many += ",\"sse2\"";
  EXPECT_NE(refusal(with(kGood, "\"cpu\":[]", many + "]")).find("at most 64"), std::string::npos);
  EXPECT_EQ(refusal("[]"), "manifest: not a JSON object");
  EXPECT_EQ(refusal(""), "manifest: not valid JSON at byte 1");
  const std::string good = kGood;
  for (size_t length = 0; length < good.size(); ++length) EXPECT_NE(refusal(good.substr(0, length)), "") << length;
}

}  // namespace
}  // namespace bitnet::backend
