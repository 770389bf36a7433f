// backend/manifest.cpp - the manifest's JSON, key by key.
#include "backend/manifest.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "backend/cpu_features.h"
#include "backend/elf_file.h"
#include "base/error.h"

namespace bitnet::backend {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 8;
constexpr size_t kMaxListed = 64;
constexpr int64_t kAbiMajor = 1;

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::kNoBackend, "manifest: {}", fmt::format(format, std::forward<Args>(args)...));
}

Json parse_bounded(std::string_view text) {
  if (text.size() > kMaxManifestBytes) refuse("{} bytes, at most {} are allowed", text.size(), kMaxManifestBytes);
  const auto limit_depth = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) refuse("nested more than {} levels", kMaxDepth);
    return true;
  };
  try {
    return Json::parse(text, limit_depth);
  } catch (const Json::parse_error& error) {
    refuse("not valid JSON at byte {}", error.byte);
  }
}

const Json& required(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) refuse("key \"{}\" is missing", key);
  return *found;
}

// A word that can stand in a command line and in a message: letters, digits and . _ - +
std::string word(const Json& value, const char* key) {
  const auto* text = value.get_ptr<const std::string*>();
  if (text == nullptr) refuse("key \"{}\" must be text", key);
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
           c == '+';
  };
  if (text->empty() || text->size() > 63 || !std::all_of(text->begin(), text->end(), plain)) {
    refuse("key \"{}\" is \"{}\", expected 1 to 63 letters, digits or . _ - +", key, printable(*text, 40));
  }
  return *text;
}

std::vector<std::string> words(const Json& object, const char* key) {
  const Json& list = required(object, key);
  if (!list.is_array() || list.size() > kMaxListed) refuse("key \"{}\" must be a list of at most {} words", key, kMaxListed);
  std::vector<std::string> out;
  for (const Json& value : list) out.push_back(word(value, key));
  return out;
}

std::string one_of(const Json& object, const char* key, std::initializer_list<std::string_view> known) {
  const std::string value = word(required(object, key), key);
  if (std::find(known.begin(), known.end(), value) == known.end()) {
    refuse("key \"{}\" is \"{}\", expected one of {}", key, value, fmt::join(known, ", "));
  }
  return value;
}

bool contains(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

int64_t abi_number(const Json& value) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > 0xFFFFu) refuse("key \"abi\" must be [major, minor]");
  return value.get<int64_t>();
}

}  // namespace

Manifest parse_manifest(std::string_view json) {
  const Json object = parse_bounded(json);
  if (!object.is_object()) refuse("not a JSON object");
  const Json& schema = required(object, "schema");
  if (schema != 1) refuse("key \"schema\" must be 1");
  Manifest m;
  const Json& abi = required(object, "abi");
  if (!abi.is_array() || abi.size() != 2) refuse("key \"abi\" must be [major, minor]");
  m.abi_major = abi_number(abi[0]);
  m.abi_minor = abi_number(abi[1]);
  m.id = word(required(object, "id"), "id");
  m.name = word(required(object, "name"), "name");
  m.version = word(required(object, "version"), "version");
  m.kind = one_of(object, "kind", {"cpu", "gpu", "npu", "test"});
  m.numerics = one_of(object, "numerics", {"exact-1", "approx-1"});
  m.tiers = words(object, "tiers");
  m.arch = words(object, "arch");
  m.cpu = words(object, "cpu");
  if (!contains(m.tiers, "kernels") && !contains(m.tiers, "engine")) refuse("key \"tiers\" names neither kernels nor engine");
  return m;
}

void check_manifest(const Manifest& m) {
  if (m.abi_major != kAbiMajor) {
    fail(ErrorKind::kNoBackend, "made for plugin ABI {}.{}, this program has {}.x", m.abi_major, m.abi_minor, kAbiMajor);
  }
  if (!contains(m.arch, host_arch())) {
    fail(ErrorKind::kNoBackend, "made for {}, this machine is {}", fmt::join(m.arch, ", "), host_arch());
  }
  for (const std::string& feature : m.cpu) {
    const std::optional<bool> present = cpu_has(feature);
    if (!present) fail(ErrorKind::kNoBackend, "needs the CPU feature {}, which this program does not know", feature);
    if (!*present) fail(ErrorKind::kNoBackend, "needs the CPU feature {}, which this machine does not offer", feature);
  }
}

}  // namespace bitnet::backend
