// install/package.h - program and SDK installed into an empty prefix that is then moved, and compilers to use them with.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {

// The components runtime and sdk below prefix(), moved after installing. Gone with the object.
// Errors  std::runtime_error with the output of cmake.
class Package {
 public:
  Package();
  std::string prefix() const { return folder_ / "moved prefix"; }  // with a blank: paths of users have them
  // The path of an installed file.
  std::string operator/(const std::string& name) const { return prefix() + "/" + name; }
  // An empty folder beside the prefix, with everything a project needs in its environment: CMake finds the SDK.
  std::string new_folder(const std::string& name) const;
  // Runs a program in a folder.
  ProgramResult run(const std::string& program, const std::vector<std::string>& args, const std::string& directory) const;
  // Where the prefix was when it was installed; no installed file may know it.
  std::string former_prefix() const { return folder_ / "first"; }

 private:
  TempFolder folder_;
};

struct Compiler {
  const char *name, *c, *cxx;
  // Empty, or why it cannot be used here.
  std::string missing() const;
};
inline void PrintTo(const Compiler& compiler, std::ostream* out) { *out << compiler.name; }  // for GoogleTest
constexpr Compiler kCompilers[] = {{"gcc", "gcc", "g++"}, {"clang", "clang-14", "clang++-14"}};

}  // namespace bitnet::test
