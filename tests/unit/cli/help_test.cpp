// tests/unit/cli/help_test.cpp - help shows the whole table and fits the terminal.
#include "cli/help.h"

#include <sstream>

#include "cli/option_table.h"
#include "parse.h"

namespace bitnet::cli {
namespace {

bool has_word(const std::string& text, const std::string& word) {
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const char next = at + word.size() < text.size() ? text[at + word.size()] : ' ';
    if (std::isalnum(static_cast<unsigned char>(next)) == 0 && next != '-' && next != '_') return true;
  }
  return false;
}

TEST(HelpText, HelpAllHasEveryOptionOfTheTable) {
  const std::string text = help_text({"", true});
  for (const OptionRow& row : option_table()) {
    EXPECT_TRUE(has_word(text, row.file_only ? std::string(row.name) : "--" + std::string(row.name))) << row.name;
    if (!row.ready) continue;
    EXPECT_CONTAINS(text, std::string(row.help.substr(0, 12)));
    for (const std::string_view alias : words_of(row.aliases)) EXPECT_TRUE(has_word(text, "--" + std::string(alias))) << alias;
    for (const std::string_view dash : words_of(row.dashes)) EXPECT_TRUE(has_word(text, " " + std::string(dash))) << dash;
    if (!row.environment.empty()) {
      EXPECT_TRUE(has_word(text, std::string(row.environment))) << row.environment;
    }
  }
  for (const CommandRow& row : command_table()) EXPECT_TRUE(has_word(text, std::string(row.name))) << row.name;
  for (const std::string_view name : later_commands()) EXPECT_TRUE(has_word(text, std::string(name))) << name;
}

TEST(HelpText, HelpShowsTheEverydayOptionsOnly) {
  const std::string text = help_text({"", false});
  for (const OptionRow& row : option_table()) {
    const bool shown = row.ready && row.everyday && (row.commands & kRun) != 0;
    EXPECT_EQ(has_word(text, "  --" + std::string(row.name)) || has_word(text, ", --" + std::string(row.name)), shown)
        << row.name;
  }
  EXPECT_EQ(text.find("Exit codes"), std::string::npos);
}

TEST(HelpText, FitsTheWidth) {
  for (const int width : {10, 80, 100, 500}) {
    const size_t limit = width > 90 ? 100 : 80;
    for (const bool all : {false, true}) {
      std::istringstream lines(help_text({"", all}, width));
      for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), limit) << line;
    }
  }
}

TEST(HelpText, ExamplesComeFirst) {
  const std::string text = help_text({"", false});
  EXPECT_CONTAINS(text, "bitnet-run -p \"Once upon a time\"");
  EXPECT_CONTAINS(text, "--backend cpu_avx2,cpu_portable");
  EXPECT_LT(text.find("Examples:"), text.find("Model and text:"));
}

// Every example is a line that the parser takes.
TEST(HelpText, ExamplesParse) {
  std::istringstream lines(help_text({"", false}));
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  bitnet-run ")) continue;
    ++count;
    std::vector<std::string> arguments;
    bool quoted = false, fresh = true;
    for (const char c : line.substr(13, line.find('#') - 13)) {
      if (c == '"') quoted = !quoted;
      if (c == ' ' && !quoted) fresh = true;
      if (c == '"' || (c == ' ' && !quoted)) continue;
      if (fresh) arguments.emplace_back();
      fresh = false;
      arguments.back() += c;
    }
    EXPECT_NO_THROW(parse(arguments)) << line;
  }
  EXPECT_GE(count, 5);
}

TEST(HelpText, ExitCodesInHelpAll) {
  const std::string text = help_text({"", true});
  for (const char* code : {"  0 ", "  1 ", "  2 ", "  3 ", "  4 ", "  15 ", "  124 ", "  130 "}) {
    EXPECT_CONTAINS(text, std::string("\n") + code);
  }
}

TEST(HelpText, OfOneCommand) {
  const std::string text = help_text({"tokenize", false});
  EXPECT_CONTAINS(text, "Usage: bitnet-run tokenize [OPTION...]");
  EXPECT_CONTAINS(text, "--parse-special");
  EXPECT_EQ(text.find("--temp"), std::string::npos);
}

}  // namespace
}  // namespace bitnet::cli
