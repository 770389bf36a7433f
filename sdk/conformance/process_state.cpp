// conformance/process_state.cpp - see process_state.h.
#include "process_state.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <filesystem>

#include "check.h"
#include "fp_mode.h"

namespace bitnet::conformance {

size_t count_threads() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) ++n;
  return n;
}

ProcessState process_state() {
  ProcessState state;
  state["number of threads"] = std::to_string(count_threads());
  state["floating-point mode"] = text_of(fp_mode());
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) != 0) continue;
    state[say("handler of signal %d", signal)] = say("%p", reinterpret_cast<void*>(action.sa_handler));
  }
  const char* locale = std::setlocale(LC_ALL, nullptr);
  state["locale"] = locale == nullptr ? "" : locale;
  state["working directory"] = std::filesystem::current_path().string();
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const size_t equals = text.find('=');
    state["environment variable " + text.substr(0, equals)] = text.substr(equals + 1);
  }
  const mode_t mask = umask(0);
  umask(mask);
  state["file mode mask"] = say("%03o", static_cast<unsigned>(mask));
  return state;
}

void expect_unchanged(const ProcessState& before, const char* after) {
  const ProcessState now = process_state();
  const auto text = [](const ProcessState& state, const std::string& fact) {
    const auto at = state.find(fact);
    return at == state.end() ? std::string("none") : at->second;
  };
  for (const ProcessState* state : {&before, &now}) {
    for (const auto& [fact, value] : *state) {
      const std::string was = text(before, fact), is = text(now, fact);
      expect(was == is, say("%s changed it: %s was '%.200s', is '%.200s'", after, fact.c_str(), was.c_str(), is.c_str()),
             rule::kBoundary);
    }
  }
}

}  // namespace bitnet::conformance
