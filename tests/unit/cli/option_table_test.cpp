// tests/unit/cli/option_table_test.cpp - the table contradicts neither itself nor the design.
#include "cli/option_table.h"

#include <gtest/gtest.h>

#include <set>

#include "cli/options_values.h"

namespace bitnet::cli {
namespace {

TEST(OptionTable, EverySpellingOnceInEachCommand) {
  std::set<std::string_view> names;
  for (const OptionRow& row : option_table()) EXPECT_TRUE(names.insert(row.name).second) << row.name;
  for (const CommandRow& command : command_table()) {
    std::set<std::string_view> longs, dashes;
    for (const OptionRow& row : option_table()) {
      for (const std::string_view dash : words_of(row.dashes)) {
        EXPECT_TRUE(dash.starts_with('-') && !dash.starts_with("--")) << dash;
      }
      if ((row.commands & command.command) == 0) continue;
      EXPECT_TRUE(longs.insert(row.name).second) << row.name;
      for (const std::string_view alias : words_of(row.aliases)) EXPECT_TRUE(longs.insert(alias).second) << alias;
      for (const std::string_view dash : words_of(row.dashes)) EXPECT_TRUE(dashes.insert(dash).second) << dash;
    }
  }
}

TEST(OptionTable, ASpellingMeansTheOptionOfItsCommand) {
  EXPECT_EQ(find_dash("-p", kRun)->name, "prompt");
  EXPECT_EQ(find_dash("-p", kBenchmark)->name, "n-prompt");
  EXPECT_EQ(find_long("tokens", kDetokenize)->name, "ids");
  EXPECT_EQ(find_long("tokens", kBenchmark)->name, "n-gen");
  EXPECT_EQ(find_dash("-c", kBenchmark)->name, "ctx-size") << "of no use there, but known";
}

TEST(OptionTable, RowsAreComplete) {
  for (const OptionRow& row : option_table()) {
    SCOPED_TRACE(row.name);
    if (!row.ready) continue;
    EXPECT_NE(row.commands, 0U);
    EXPECT_FALSE(row.help.empty());
    EXPECT_EQ(row.value_name.empty(), row.kind == ValueKind::kFlag);
    EXPECT_EQ(row.choices.empty(), row.kind != ValueKind::kChoice);
    if (row.kind == ValueKind::kInteger || row.kind == ValueKind::kReal) {
      EXPECT_TRUE(row.int64_high || row.low < row.high);
    }
    if (!row.stands_for.empty()) {
      EXPECT_TRUE(option(row.stands_for).ready);
    }
  }
}

TEST(OptionTable, DefaultsAreInRange) {
  for (const OptionRow& row : option_table()) {
    for (const CalledAs name : {CalledAs::kRun, CalledAs::kInfer, CalledAs::kChat}) {
      const std::string_view text = default_of(row, name);
      if (text.empty()) continue;
      if (row.kind == ValueKind::kInteger) {
        EXPECT_NO_THROW(read_integer(row, row.name, text)) << row.name;
      }
      if (row.kind == ValueKind::kReal) {
        EXPECT_NO_THROW(read_real(row, row.name, text)) << row.name;
      }
      if (row.kind == ValueKind::kFlag) {
        EXPECT_FALSE(read_flag(row.name, text)) << row.name;
      }
    }
  }
}

TEST(OptionTable, EnvironmentNames) {
  EXPECT_EQ(environment_name("top-k"), "BITNET_ARG_TOP_K");
  EXPECT_EQ(environment_name("ctx_size"), "BITNET_ARG_CTX_SIZE");
}

// The single-dash words of the design, section 4.
TEST(OptionTable, EverySingleDashWordOfTheDesign) {
  for (const char* dash : {"-hf", "-hfr", "-hff", "-hft", "-ngl", "-cnv", "-no-cnv", "-sys", "-sysf", "-dev", "-temp",
                           "-tb", "-ub",  "-np",  "-st",  "-mli", "-jf",  "-lv",     "-pg",  "-oe",   "-m",   "-p",
                           "-f",  "-n",   "-c",   "-t",   "-b",   "-s",   "-r",      "-j",   "-i",    "-v"}) {
    EXPECT_NE(find_dash(dash), nullptr) << dash;
  }
}

TEST(OptionTable, EveryCommandOfTheDesign) {
  for (const char* word : {"run",
                           "infer",
                           "chat",
                           "serve",
                           "server",
                           "pull",
                           "list",
                           "show",
                           "rm",
                           "verify",
                           "prune",
                           "ls",
                           "validate",
                           "inspect",
                           "bench",
                           "benchmark",
                           "analyze-performance",
                           "perplexity",
                           "ppl",
                           "score",
                           "crossval",
                           "quant-check",
                           "compare",
                           "batch",
                           "tokenize",
                           "detokenize",
                           "backends",
                           "plugins",
                           "doctor",
                           "env",
                           "completion",
                           "version"}) {
    EXPECT_NE(find_command(word) != nullptr, is_later_command(word)) << word;
  }
}

}  // namespace
}  // namespace bitnet::cli
