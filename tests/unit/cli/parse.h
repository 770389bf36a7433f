// tests/unit/cli/parse.h - parses a command line with no surroundings but those that a test gives.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/options.h"

namespace bitnet::cli {

using Variables = std::map<std::string, std::string>;

inline ParsedCommand parse_in(const Environment& environment, const std::vector<std::string>& arguments) {
  std::vector<const char*> argv{"bitnet-run"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  return parse_command_line(static_cast<int>(argv.size()), argv.data(), environment);
}

inline ParsedCommand parse(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  Environment environment;
  environment.variables = variables;
  environment.system_config.clear();
  return parse_in(environment, arguments);
}

inline RunOptions parse_run(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  return std::get<RunOptions>(parse(arguments, variables).command);
}

// The message of the usage error that the call ends with; a test failure when there is none or it has another kind.
template <class Call>
std::string usage_error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << "one line";
    return error.what();
  }
  ADD_FAILURE() << "no usage error";
  return {};
}

inline std::string refusal(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  return usage_error_of([&] { parse(arguments, variables); });
}

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

}  // namespace bitnet::cli
