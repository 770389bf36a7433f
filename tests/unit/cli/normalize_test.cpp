// tests/unit/cli/normalize_test.cpp - every trap of the raw library (user_interface.md, section 4) and the spelling rules.
#include "cli/normalize.h"

#include "parse.h"

namespace bitnet::cli {
namespace {

const std::vector<std::string> kPrompt = {"-p", "x"};

std::vector<std::string> with_prompt(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), kPrompt.begin(), kPrompt.end());
  return arguments;
}

TEST(Traps, SingleDashWordsAreNotBundles) {
  const ParsedCommand ngl = parse(with_prompt({"-ngl", "99"}));
  EXPECT_EQ(ngl.setting("gpu-layers").values, std::vector<std::string>{"99"});
  EXPECT_EQ(ngl.setting("predict").source, Source::kDefault);
  const RunOptions temp = parse_run(with_prompt({"-temp", "0.5"}));
  EXPECT_EQ(temp.sampling.temperature, 0.5);
  EXPECT_EQ(temp.compute.threads, 0);
  EXPECT_EQ(refusal(with_prompt({"-tb"})), "-tb is not supported in this version");
}

TEST(Traps, NoAbbreviations) {
  EXPECT_EQ(refusal({"--promp", "x"}), "unknown option --promp; did you mean --prompt?");
  EXPECT_CONTAINS(refusal({"--thr", "4"}), "unknown option --thr");
  EXPECT_CONTAINS(refusal({"--see=4"}), "unknown option --see; did you mean --seed?");
}

TEST(Traps, ValuesMayBeginWithADash) {
  EXPECT_EQ(parse_run({"-p", "-n"}).prompt.text, "-n");
  EXPECT_EQ(parse_run({"--prompt", "-n"}).prompt.text, "-n");
  EXPECT_EQ(parse_run({"--prompt=-n"}).prompt.text, "-n");
  EXPECT_EQ(parse_run({"-p", "--"}).prompt.text, "--");
  EXPECT_EQ(parse_run({"-p", "--json"}).prompt.text, "--json");
  EXPECT_FALSE(parse_run({"-p", "--json"}).output.json);
  EXPECT_EQ(parse_run({"-n", "-1", "-p", "x"}).n_predict, -1);
}

TEST(Traps, EmptyValues) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"--prompt="}, {"--prompt", ""}, {"-p", ""}}) {
    const RunOptions run = parse_run(arguments);
    EXPECT_EQ(run.prompt.from, PromptFrom::kText);
    EXPECT_EQ(run.prompt.text, "");
  }
  EXPECT_EQ(refusal(with_prompt({"-m", ""})), "-m: expected FILE, found nothing");
  EXPECT_EQ(refusal(with_prompt({"--seed="})), "--seed: expected a whole number from -1 to 9223372036854775807, found ''");
}

TEST(Traps, NegativeNumbersDoNotWrap) {
  EXPECT_EQ(refusal(with_prompt({"-c", "-1"})), "-c: expected a whole number from 0 to 2147483647, found '-1'");
  EXPECT_CONTAINS(refusal(with_prompt({"-c", "4294967296"})), "found '4294967296'");
  EXPECT_CONTAINS(refusal(with_prompt({"-t", "18446744073709551617"})), "found '18446744073709551617'");
}

TEST(Traps, NumbersAreFinite) {
  for (const char* text : {"nan", "inf", "-inf", "NAN", "infinity", "1e999", "0x1p3", "", " 1", "1 ", "1,5", "0.5x"}) {
    EXPECT_CONTAINS(refusal(with_prompt({"--temp", text})), "--temp: expected a number from 0 to 10");
  }
}

TEST(Traps, TheLastOfSeveralWinsWithAWarning) {
  const ParsedCommand parsed = parse({"-m", "a.gguf", "-p", "x", "--model=b.gguf"});
  EXPECT_EQ(std::get<RunOptions>(parsed.command).model, "b.gguf");
  ASSERT_EQ(parsed.warnings.size(), 1U);
  EXPECT_EQ(parsed.warnings[0], "--model was given twice: 'a.gguf' (-m) is dropped for 'b.gguf' (--model)");
  EXPECT_TRUE(parse({"--json", "--json", "-p", "x"}).warnings.empty());
}

TEST(Traps, TextsPassUnchanged) {
  for (const std::string text :
       {"two words", "line\nline", "a=b=c", "=", "\"quoted\"", "# no comment", "\xff\xfe\x01", "-", "--x"}) {
    const RunOptions run = parse_run({"--stop", "a=b c", "--prompt=" + text});
    EXPECT_EQ(run.prompt.from, text == "-" ? PromptFrom::kStdin : PromptFrom::kText);
    EXPECT_EQ(run.prompt.text, text == "-" ? "" : text);
    EXPECT_EQ(run.sampling.stop, std::vector<std::string>{"a=b c"});
  }
}

TEST(Spelling, EverySpellingOfTheTable) {
  for (const OptionRow& row : option_table()) {
    if (row.file_only) continue;
    std::vector<std::string> spellings{"--" + std::string(row.name)};
    for (const std::string_view alias : words_of(row.aliases)) spellings.push_back("--" + std::string(alias));
    for (const std::string_view dash : words_of(row.dashes)) spellings.emplace_back(dash);
    for (const std::string& spelling : spellings) {
      SCOPED_TRACE(spelling);
      std::vector<std::string> arguments{spelling};
      if (!row.ready) {
        EXPECT_EQ(refusal(with_prompt(arguments)), spelling + " is not supported in this version");
        continue;
      }
      if (row.kind != ValueKind::kFlag) arguments.push_back("some value");
      const CommandRow* command = &command_table()[0];
      while ((row.commands & command->command) == 0) ++command;
      const Arguments read = normalize(arguments, command->command);
      ASSERT_EQ(read.options.size(), 1U);
      EXPECT_EQ(read.options[0].origin, spelling);
      EXPECT_EQ(read.options[0].row->name, row.stands_for.empty() ? row.name : row.stands_for);
    }
  }
}

TEST(Spelling, UnknownOptionsNameTheNearest) {
  EXPECT_EQ(refusal({"--max_tokens", "5"}), "unknown option --max_tokens; did you mean --max-tokens?");
  EXPECT_EQ(refusal({"-nlg", "5"}), "unknown option -nlg; did you mean -ngl?");
  EXPECT_EQ(refusal({"-temperature", "5"}), "unknown option -temperature; did you mean --temperature?");
  EXPECT_EQ(refusal({"--grammer", "x"}), "unknown option --grammer; did you mean --grammar?");
  EXPECT_EQ(refusal({"--zzzzzz"}), "unknown option --zzzzzz; --help-all lists all options");
  EXPECT_EQ(refusal({"-1"}), "unknown option -1; --help-all lists all options");
  EXPECT_EQ(refusal({"-\x1b[31m"}), "unknown option -\\x1b[31m; --help-all lists all options");
}

TEST(Spelling, UnderscoreOnlyWhereTheTableHasIt) {
  EXPECT_EQ(parse_run(with_prompt({"--ctx_size", "77"})).ctx_size, 77);
  EXPECT_CONTAINS(refusal(with_prompt({"--top_k", "77"})), "unknown option --top_k; did you mean --top-k?");
}

TEST(Spelling, SingleDashWithEqualsIsExplained) {
  EXPECT_EQ(refusal(with_prompt({"-t=4"})), "-t takes its value as the next argument: write -t 4");
}

TEST(Spelling, FlagsTakeNoValue) { EXPECT_EQ(refusal(with_prompt({"--json=yes"})), "--json takes no value, found 'yes'"); }

TEST(Spelling, MissingValue) {
  EXPECT_EQ(refusal({"-p"}), "-p needs a value (TEXT)");
  EXPECT_EQ(refusal({"-p", "x", "--seed"}), "--seed needs a value (N)");
}

TEST(Spelling, DoubleDashEndsTheOptions) {
  const Arguments read = normalize(std::vector<std::string>{"-p", "x", "--", "--json", "--"}, kRun);
  EXPECT_EQ(read.words, (std::vector<std::string>{"--json", "--"}));
  EXPECT_CONTAINS(refusal({"-p", "x", "--", "--json"}), "unexpected argument '--json'");
}

TEST(Spelling, ShorthandsBecomeTheirOption) {
  EXPECT_EQ(parse_run(with_prompt({"--gpu"})).compute.backends, std::vector<std::string>{"cuda"});
  EXPECT_EQ(parse_run(with_prompt({"--no-progress"})).output.progress, Progress::kNone);
  const ParsedCommand both = parse(with_prompt({"--temp", "0.7", "--greedy"}));
  EXPECT_EQ(std::get<RunOptions>(both.command).sampling.temperature, 0);
  EXPECT_TRUE(std::get<RunOptions>(both.command).sampling.greedy);
  EXPECT_EQ(both.warnings, std::vector<std::string>{"--temp was given twice: '0.7' (--temp) is dropped for '0' (--greedy)"});
}

TEST(LibraryTokens, JoinedOrTwoTokens) {
  const Arguments read = normalize(std::vector<std::string>{"-n", "5", "--prompt=", "--json"}, kRun);
  EXPECT_EQ(library_tokens(read.options), (std::vector<std::string>{"--predict=5", "--prompt", "", "--json=on"}));
}

TEST(EditDistance, KnownValues) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("nlg", "ngl"), 1U);
  EXPECT_EQ(edit_distance("abcdef", "abcdef"), 0U);
  EXPECT_EQ(edit_distance("seed", "see"), 1U);
}

}  // namespace
}  // namespace bitnet::cli
