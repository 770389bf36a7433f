// fault/second_mock.h - the mock under another name, so that several backends of a chain can fail.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "support/files.h"
#include "support/temp_folder.h"

namespace bitnet::test {

// The same file with "mock" spelt `name` (four letters) in its manifest and id. Returns its path.
inline std::string make_other_mock(const TempFolder& folder, const std::string& name) {
  std::string bytes = read_text(std::string(BITNET_PLUGIN_DIR) + "/bn_mock.so");
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"\"name\": \"mock\"", "\"name\": \"" + name + "\""},
                                 std::pair<std::string, std::string>{"org.bitnet-run.mock", "org.bitnet-run." + name}}) {
    size_t found = 0;
    for (size_t at = 0; (at = bytes.find(from, at)) != std::string::npos; ++found) bytes.replace(at, from.size(), to);
    EXPECT_GT(found, 0u) << from << " is not in the mock's file";
  }
  const std::string path = folder / ("bn_" + name + ".so");
  write_text(path, bytes);
  return path;
}

}  // namespace bitnet::test
