// abi/golden_test.cpp - the headers against sdk/abi/abi-*.txt: what a released plugin relies on may never change.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "abi/abi_listing.h"
#include "install/package.h"
#include "support/files.h"

namespace bitnet::test {
namespace {

const std::string kHeaderFolder = BITNET_SOURCE_DIR "/sdk/include";
const std::string kGoldenFolder = BITNET_SOURCE_DIR "/sdk/abi";
constexpr const char* kRule =
    "\nThe ABI is append only (sdk/abi/README.md). Released structs keep every offset, type and value: add fields at the end,"
    "\nfunctions at the end, values that did not exist. Before 1.0 a change is allowed if sdk/abi/README.md records it with"
    "\ndate and reason. The listing of the headers as they are now: ";

ProgramResult run_in(const TempFolder& folder, const std::string& program, std::vector<std::string> args) {
  return run_program(args, {.program = program, .directory = folder.path()});
}

// The facts as one compiler sees them.
std::vector<std::string> listing_by(const Compiler& compiler) {
  const TempFolder folder;
  write_text(folder / "print_abi.cpp", printing_program(read_declarations(kHeaderFolder + "/bitnet")));
  const ProgramResult compiled = run_in(folder, compiler.cxx,
                                        {"-std=c++17", "-Wno-invalid-offsetof", "-I", kHeaderFolder, "-I",
                                         BITNET_SOURCE_DIR "/tests", "print_abi.cpp", "-o", "print_abi"});
  EXPECT_EQ(compiled.exit_code, 0) << compiled;
  const ProgramResult printed = run_in(folder, folder / "print_abi", {});
  EXPECT_EQ(printed.exit_code, 0) << printed;
  return lines_of(printed.out);
}

// All golden files in order: a later one adds facts, and may tell the new size of a struct.
std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldenFolder)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::map<std::string, std::string> golden() {
  std::map<std::string, std::string> all;
  for (const std::string& file : golden_files()) {
    for (const auto& [name, fact] : by_name(lines_of(read_text(file)))) {
      EXPECT_TRUE(all.count(name) == 0 || name.rfind("struct ", 0) == 0) << file << " changes what was released: " << name;
      all[name] = fact;
    }
  }
  return all;
}

// Every difference as a line.
std::string differences(const std::map<std::string, std::string>& released, const std::map<std::string, std::string>& now) {
  std::string text;
  for (const auto& [name, fact] : released) {
    const auto found = now.find(name);
    if (found == now.end()) text += "gone:    " + name + " = " + fact + "\n";
    if (found != now.end() && found->second != fact) {
      text += "changed: " + name + " = " + fact + "\n         now        = " + found->second + "\n";
    }
  }
  for (const auto& [name, fact] : now) {
    if (released.count(name) == 0) text += "new:     " + name + " = " + fact + "\n";
  }
  return text;
}

class AbiGolden : public testing::TestWithParam<Compiler> {
 protected:
  void SetUp() override {
    if (const std::string reason = GetParam().missing(); !reason.empty()) GTEST_SKIP() << reason;
    facts_ = listing_by(GetParam());
  }
  std::vector<std::string> facts_;
};

TEST_P(AbiGolden, HeadersHaveTheReleasedLayout) {
  const std::string listing = std::string(BITNET_BINARY_DIR "/tests/abi-now-") + GetParam().name + ".txt";
  std::string text;
  for (const std::string& fact : facts_) text += fact + "\n";
  write_text(listing, text);
  EXPECT_EQ(differences(golden(), by_name(facts_)), "") << kRule << listing;
}

// Fields follow each other without a hole: all padding is written out, so every compiler agrees and nothing went unnoticed.
TEST_P(AbiGolden, FieldsLeaveNoHole) {
  const auto facts = by_name(facts_);
  const Declarations declarations = read_declarations(kHeaderFolder + "/bitnet");
  ASSERT_GE(declarations.structs.size(), 25u);
  for (const auto& s : declarations.structs) {
    size_t end = 0;
    for (const std::string& field : s.fields) {
      size_t offset = 0;
      std::sscanf(facts.at("field " + s.name + "." + field).c_str(), "at %zu", &offset);
      EXPECT_EQ(offset, end) << "padding before " << s.name << "." << field;
      end = end_of(facts, s.name + "." + field);
    }
    EXPECT_EQ(facts.at("struct " + s.name).rfind(std::to_string(end) + " bytes", 0), 0u) << "padding at the end of " << s.name;
  }
}

// Literal numbers of 1.0, never today's sizeof: a plugin of 1.0 has them for ever.
TEST_P(AbiGolden, SmallestLegalSizesAreThoseOfOneZero) {
  const auto facts = by_name(facts_);
  EXPECT_EQ(end_of(facts, "bn_plugin.get_interface"), 72u);
  EXPECT_EQ(end_of(facts, "bn_kernels_v1.matmul"), 56u);
  EXPECT_EQ(end_of(facts, "bn_engine_v1.truncate"), 88u);
  EXPECT_EQ(end_of(facts, "bn_error.message"), 256u);
}

TEST_P(AbiGolden, CAgrees) {
  const TempFolder folder;
  write_text(folder / "agrees.c", agreeing_c_source(facts_));
  const ProgramResult compiled = run_in(folder, GetParam().c, {"-std=c99", "-fsyntax-only", "-I", kHeaderFolder, "agrees.c"});
  EXPECT_EQ(compiled.exit_code, 0) << compiled;
}

INSTANTIATE_TEST_SUITE_P(Compilers, AbiGolden, testing::ValuesIn(kCompilers),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(AbiDifferences, AreNamed) {
  const std::map<std::string, std::string> released = {{"value A", "1"}, {"value B", "2"}},
                                           now = {{"value A", "3"}, {"value C", "4"}};
  const std::string text = differences(released, now);
  EXPECT_NE(text.find("changed: value A = 1"), text.npos) << text;
  EXPECT_NE(text.find("gone:    value B"), text.npos) << text;
  EXPECT_NE(text.find("new:     value C"), text.npos) << text;
  EXPECT_EQ(differences(released, released), "");
}

}  // namespace
}  // namespace bitnet::test
