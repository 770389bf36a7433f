// cli/main.cpp - the door of bitnet-run: parse, run the command, turn every failure into one line and an exit code.
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <new>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/signals.h"

namespace bitnet::cli {
namespace {

struct Dispatch {
  int operator()(const RunOptions& o) const { return run_command(o); }
  int operator()(const EmbedOptions& o) const { return embed_command(o); }
  int operator()(const BenchmarkOptions& o) const { return benchmark_command(o); }
  int operator()(const AnalyzeOptions& o) const { return analyze_command(o); }
  int operator()(const BackendsOptions& o) const { return backends_command(o); }
  int operator()(const ValidateOptions& o) const { return validate_command(o); }
  int operator()(const InspectOptions& o) const { return inspect_command(o); }
  int operator()(const ConvertOptions& o) const { return convert_command(o); }
  int operator()(const QuantCheckOptions& o) const { return quant_check_command(o); }
  int operator()(const TokenizeOptions& o) const { return tokenize_command(o); }
  int operator()(const DetokenizeOptions& o) const { return detokenize_command(o); }
  int operator()(const VersionOptions& o) const { return version_command(o); }
  int operator()(const HelpOptions& o) const {
    write_stdout(help_text(o));
    return 0;
  }
};

int run(int argc, char** argv) {
  const ParsedCommand parsed = parse_command_line(argc, argv, Environment::of_process());
  std::visit(
      [](const auto& options) {
        if constexpr (requires { options.output.log_level; }) set_log_level(options.output.log_level);
      },
      parsed.command);
  for (const std::string& warning : parsed.warnings) log(LogLevel::kWarning, "{}", warning);
  for (const std::string& note : parsed.notes) log(LogLevel::kNotice, "{}", note);
  if (parsed.print_config) {
    write_stdout(print_config(parsed));
    return 0;
  }
  install_signal_handlers();
  return std::visit(Dispatch{}, parsed.command);
}

}  // namespace
}  // namespace bitnet::cli

namespace {

// Threads of a backend that hangs still run; nothing may be destroyed under them.
int leave(int code) {
  if (bitnet::engine::EngineThread::abandoned_threads() == 0) return code;
  std::fflush(nullptr);
  ::_exit(code);
}

int run_and_report(int argc, char** argv) {
  using bitnet::ErrorKind;
  try {
    return bitnet::cli::run(argc, argv);
  } catch (const bitnet::Error& e) {
    bitnet::log_line(bitnet::LogLevel::kError, e.what());
    return e.exit_code();
  } catch (const std::bad_alloc&) {
    bitnet::log_line(bitnet::LogLevel::kError, "out of memory");
    return static_cast<int>(ErrorKind::kNoMemory);
  } catch (const std::exception& e) {
    bitnet::log_line(bitnet::LogLevel::kError, e.what());
    return static_cast<int>(ErrorKind::kFailure);
  }
}

}  // namespace

int main(int argc, char** argv) { return leave(run_and_report(argc, argv)); }
