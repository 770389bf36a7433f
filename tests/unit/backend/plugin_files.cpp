// unit/backend/plugin_files.cpp - files and folders for the tests of discovery.
#include "plugin_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace bitnet::backend {
namespace {

Bytes read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  Bytes bytes{std::istreambuf_iterator<char>(in), {}};
  if (bytes.empty()) throw std::runtime_error("cannot read " + path);
  return bytes;
}

}  // namespace

TempFolder::TempFolder() {
  std::string name = std::filesystem::temp_directory_path() / "bitnet-plugins-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  ::chmod(name.c_str(), 0755);
  path_ = std::filesystem::canonical(name);
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::write(const std::string& name, const Bytes& bytes) const {
  const std::string path = *this / name;
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
  ::chmod(path.c_str(), 0644);
  return path;
}

std::string TempFolder::make_folder(const std::string& name) const {
  std::filesystem::create_directories(path_ + "/" + name);
  return *this / name;
}

Bytes to_bytes(std::string_view text) { return Bytes(text.begin(), text.end()); }
Bytes portable_plugin() { return read_bytes(std::string(BITNET_PLUGIN_DIR) + "/bn_cpu_portable.so"); }
Bytes zoo_plugin(const std::string& fault) { return read_bytes(zoo_path(fault)); }
std::string zoo_path(const std::string& fault) { return std::string(BITNET_BROKEN_DIR) + "/zoo_" + fault + ".so"; }
std::string broken_path(const std::string& fault) { return std::string(BITNET_BROKEN_DIR) + "/broken_" + fault + ".so"; }

Bytes replaced(Bytes bytes, std::string_view from, std::string_view to) {
  EXPECT_EQ(from.size(), to.size());
  bool found = false;
  for (auto at = bytes.begin(); (at = std::search(at, bytes.end(), from.begin(), from.end())) != bytes.end();) {
    at = std::copy(to.begin(), to.end(), at);
    found = true;
  }
  EXPECT_TRUE(found) << from;
  return bytes;
}

Bytes with_manifest(std::string_view json) {
  Bytes bytes = portable_plugin();
  constexpr std::string_view kStart = "{\"schema\"";
  const auto start = std::search(bytes.begin(), bytes.end(), kStart.begin(), kStart.end());
  const auto end = std::find(start, bytes.end(), 0);
  if (end - start < static_cast<long>(json.size())) throw std::runtime_error("manifest too long");
  std::fill(std::copy(json.begin(), json.end(), start), end, ' ');
  return bytes;
}

bool is_mapped(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(path)) return true;
  }
  return false;
}

PluginTest::PluginTest() {
  ::setenv("XDG_DATA_HOME", home_.path().c_str(), 1);
  ::setenv("XDG_CACHE_HOME", "/dev/null", 1);
}

DiscoveryOptions PluginTest::options() {
  DiscoveryOptions options;
  options.probe_program = BITNET_PROBE;
  return options;
}

Plugin PluginTest::examined(const std::string& path) {
  DiscoveryOptions one = options();
  one.files = {path};
  Registry registry = Registry::discover(one);
  EXPECT_EQ(registry.plugins().at(0).path, path);
  return registry.plugins()[0];  // behind it there is at most the built-in backend
}

}  // namespace bitnet::backend
