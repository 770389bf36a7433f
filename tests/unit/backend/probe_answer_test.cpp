// unit/backend/probe_answer_test.cpp - the probe's answer there and back, and what nobody may smuggle through it.
#include "backend/probe_answer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace bitnet::backend {
namespace {

using nlohmann::json;

ProbeAnswer good() {
  ProbeAnswer answer;
  answer.ok = true;
  answer.vendor = "V \\x1b[31m";
  answer.devices = {{BN_DEV_GPU, "gpu0", "A \\x1b", 7, 5}, {BN_DEV_CPU, "cpu", "B", 0, 0}};
  answer.libraries = {"/lib/libc.so.6"};
  return answer;
}

std::string refusal(const std::string& text) {
  try {
    read_answer(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ProbeAnswer, ThereAndBack) {
  const std::string line = write_answer(good());
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const ProbeAnswer back = read_answer(line);
  EXPECT_TRUE(back.ok);
  EXPECT_EQ(back.vendor, good().vendor);
  ASSERT_EQ(back.devices.size(), 2u);
  EXPECT_EQ(back.devices[0].id, "gpu0");
  EXPECT_EQ(back.devices[0].name, "A \\x1b");
  EXPECT_EQ(back.devices[0].kind, static_cast<uint32_t>(BN_DEV_GPU));
  EXPECT_EQ(back.devices[0].mem_total, 7u);
  EXPECT_EQ(back.libraries, good().libraries);
  ProbeAnswer no;
  no.reason = "because";
  EXPECT_FALSE(read_answer(write_answer(no)).ok);
  EXPECT_EQ(read_answer(write_answer(no)).reason, "because");
}

TEST(ProbeAnswer, ControlBytesAreMadePrintable) {
  const ProbeAnswer answer = read_answer("{\"schema\": 1, \"ok\": false, \"reason\": \"a\\u001bb\\nc\"}");
  EXPECT_EQ(answer.reason, "a\\x1bb\\nc");
}

TEST(ProbeAnswer, HostileOnesAreRefused) {
  const json sound = json::parse(write_answer(good()));
  const auto with = [&](const char* key, const json& value) {
    json changed = sound;
    changed[key] = value;
    return changed.dump();
  };
  ASSERT_EQ(refusal(sound.dump()), "");
  json without = sound;
  without.erase("vendor");
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "{\"a\":";
  json device = sound["devices"][0];
  device["id"] = "a b";
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{"), std::string("{}"), deep, without.dump(), with("schema", 2),
        with("ok", "yes"), with("vendor", 5), with("devices", json::array()), with("devices", json::array({device})),
        with("devices", json::array({1})), with("devices", std::vector<json>(65, sound["devices"][0])),
        with("libraries", std::vector<int>(3)), with("libraries", std::vector<std::string>(513)),
        std::string("{\"schema\": 1, \"ok\": false, \"reason\": \"\"}"), std::string(kMaxAnswerBytes + 1, ' ')}) {
    EXPECT_NE(refusal(text).find("its probe gave an answer that cannot be read"), std::string::npos) << text.substr(0, 200);
  }
}

TEST(ProbeAnswer, StagesHaveNames) {
  for (const LoadStage stage : {LoadStage::kOpen, LoadStage::kEntry, LoadStage::kEnumerate}) {
    EXPECT_EQ(stage_from_name(stage_name(stage)), stage);
  }
  EXPECT_FALSE(stage_from_name("").has_value());
}

}  // namespace
}  // namespace bitnet::backend
