// cli/signals.cpp - handlers that only store, write and _exit.
#include "cli/signals.h"

#include <signal.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"

namespace bitnet::cli {
namespace {

std::atomic<bool> stop{false};
std::atomic<int> signal_number{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);
char mapped_path[256] = "model file";

void on_stop(int number) {
  if (stop.exchange(true)) ::_exit(128 + number);
  signal_number = number;
}

void on_bus_error(int) {
  constexpr char kText[] = ": the file changed or shrank while it was in use; restore it and start again\n";
  ssize_t done = ::write(STDERR_FILENO, "error: ", 7);
  done += ::write(STDERR_FILENO, mapped_path, std::strlen(mapped_path));
  done += ::write(STDERR_FILENO, kText, sizeof kText - 1);
  ::_exit(done < 0 ? 1 : static_cast<int>(ErrorKind::kInvalidModel));
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(number, &action, nullptr);
}

}  // namespace

void install_signal_handlers() {
  handle(SIGINT, on_stop);
  handle(SIGTERM, on_stop);
  handle(SIGBUS, on_bus_error);
}

void set_mapped_path(const std::string& path) {
  const std::string safe = printable(path, sizeof mapped_path - 8);
  std::memcpy(mapped_path, safe.c_str(), safe.size() + 1);
}

const std::atomic<bool>& stop_requested() { return stop; }
int stop_signal() { return signal_number; }

void clear_stop() {
  signal_number = 0;
  stop = false;
}

}  // namespace bitnet::cli
