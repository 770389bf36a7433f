// conformance/manifest.cpp - see manifest.h.
#include "manifest.h"

#include <sys/utsname.h>

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "check.h"

namespace bitnet::conformance {
namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = 65536;

const json& member(const json& manifest, const char* key) {
  const auto at = manifest.find(key);
  if (at == manifest.end()) fail(say("manifest: key \"%s\" is missing", key));
  return *at;
}

std::string text_of(const json& manifest, const char* key) {
  const json& value = member(manifest, key);
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
    fail(say("manifest: \"%s\" is not a text: %s", key, value.dump().c_str()));
  }
  return value.get<std::string>();
}

std::string one_of(const json& manifest, const char* key, std::initializer_list<const char*> allowed) {
  const std::string value = text_of(manifest, key);
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    std::string words;
    for (const char* word : allowed) words += (words.empty() ? "" : ", ") + std::string(word);
    fail(say("manifest: \"%s\" is \"%s\", expected one of: %s", key, value.c_str(), words.c_str()));
  }
  return value;
}

std::vector<std::string> texts_of(const json& manifest, const char* key) {
  const json& value = member(manifest, key);
  if (!value.is_array()) fail(say("manifest: \"%s\" is not an array of texts: %s", key, value.dump().c_str()));
  std::vector<std::string> texts;
  for (const json& entry : value) {
    if (!entry.is_string()) fail(say("manifest: \"%s\" is not an array of texts: %s", key, value.dump().c_str()));
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

}  // namespace

std::string machine_name() {
  utsname name = {};
  uname(&name);
  return name.machine;
}

Manifest read_manifest(const std::string& text) {
  if (text.empty()) fail("the file has no section .bnplug: BN_MANIFEST is missing, or the linker dropped it");
  if (text.size() > kMaxBytes) fail(say("the manifest has %zu bytes, the limit is %zu", text.size(), kMaxBytes));
  const json manifest = json::parse(text.substr(0, text.find('\0')), nullptr, false);
  if (!manifest.is_object()) fail("the manifest is not a JSON object");
  if (member(manifest, "schema") != 1) fail("manifest: \"schema\" is " + member(manifest, "schema").dump() + ", expected 1");
  const json& abi = member(manifest, "abi");
  if (!abi.is_array() || abi.size() != 2 || abi[0] != 1 || !abi[1].is_number_unsigned()) {
    fail("manifest: \"abi\" is " + abi.dump() + ", expected [1, MINOR]");
  }
  Manifest m;
  m.id = text_of(manifest, "id");
  text_of(manifest, "name");
  m.version = text_of(manifest, "version");
  m.kind = one_of(manifest, "kind", {"cpu", "gpu", "npu", "test"});
  m.numerics = one_of(manifest, "numerics", {"exact-1", "approx-1"});
  m.tiers = texts_of(manifest, "tiers");
  m.arch = texts_of(manifest, "arch");
  texts_of(manifest, "cpu");
  expect(!m.tiers.empty(), "manifest: \"tiers\" is empty");
  for (const std::string& tier : m.tiers) {
    expect(tier == "kernels" || tier == "engine", say("manifest: tier \"%s\" is neither kernels nor engine", tier.c_str()));
  }
  const bool here = std::find(m.arch.begin(), m.arch.end(), machine_name()) != m.arch.end();
  expect(here, say("manifest: \"arch\" does not name this machine, %s, for which the file is made", machine_name().c_str()));
  return m;
}

}  // namespace bitnet::conformance
