// unit/backend/plugin_files.h - real plugin files copied, patched and placed into folders of their own.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backend/registry.h"

namespace bitnet::backend {

using Bytes = std::vector<uint8_t>;

// A new folder with mode 0755, removed at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file with mode 0644 and returns its path.
  std::string write(const std::string& name, const Bytes& bytes) const;
  std::string make_folder(const std::string& name) const;

 private:
  std::string path_;
};

Bytes to_bytes(std::string_view text);
Bytes portable_plugin();                     // bn_cpu_portable.so
Bytes zoo_plugin(const std::string& fault);  // see tests/fault/broken
std::string zoo_path(const std::string& fault);
std::string broken_path(const std::string& fault);

// Overwrites every occurrence of `from` with `to` of the same length; fails the test when there is none.
Bytes replaced(Bytes bytes, std::string_view from, std::string_view to);
// The portable plugin with another manifest, which must not be longer than its own.
Bytes with_manifest(std::string_view json);

// Whether a file is mapped into this process.
bool is_mapped(const std::string& path);

// Runs with XDG_DATA_HOME in an empty folder, so that no plugin of the user's gets in, and without a cache folder.
class PluginTest : public ::testing::Test {
 protected:
  PluginTest();
  // With the probe of the build.
  static DiscoveryOptions options();
  // What the registry says about one file, given as --plugin.
  Plugin examined(const std::string& path);
  Plugin examined(const Bytes& bytes) { return examined(folder_.write("bn_x.so", bytes)); }

  TempFolder home_, folder_;
};

}  // namespace bitnet::backend
