// bench/program.h - the outermost door of a benchmark program: every failure becomes one line on stderr and an exit code.
#pragma once

#include <boost/program_options/errors.hpp>
#include <exception>
#include <iostream>

#include "base/error.h"

namespace bitnet::bench {

// Returns body()'s result, or the exit code of what it threw (runtime/base/error.h).
template <class F>
int run_program(const char* name, F&& body) {
  const auto complain = [&](std::string_view message, int code) {
    std::cerr << name << ": " << message << '\n';
    return code;
  };
  try {
    return body();
  } catch (const boost::program_options::error& e) {
    return complain(printable(e.what()) + "; --help lists the options", static_cast<int>(ErrorKind::kUsage));
  } catch (const Error& e) {
    return complain(e.what(), e.exit_code());
  } catch (const std::exception& e) {
    return complain(printable(e.what()), static_cast<int>(ErrorKind::kFailure));
  }
}

}  // namespace bitnet::bench
