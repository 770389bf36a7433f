// cli/progress.cpp - draws and erases.
#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "cli/json_text.h"

namespace bitnet::cli {
namespace {

std::atomic<bool> bar_is_visible{false};

void write_stderr(const std::string& text) {
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;  // a lost bar is no loss
}

void erase_bar() {
  if (bar_is_visible.exchange(false)) write_stderr("\r\x1b[K");
}

int terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

ProgressLine::ProgressLine(Progress mode, std::string phase, std::string unit)
    : mode_(mode), phase_(std::move(phase)), unit_(std::move(unit)) {
  if (mode_ == Progress::kAuto) mode_ = ::isatty(STDERR_FILENO) ? Progress::kBar : Progress::kNone;
  if (mode_ == Progress::kBar) set_log_prelude(erase_bar);
}

ProgressLine::~ProgressLine() { finish(); }

void ProgressLine::finish() {
  erase_bar();
  set_log_prelude(nullptr);
}

void ProgressLine::update(uint64_t done, uint64_t total) {
  const auto now = std::chrono::steady_clock::now();
  const bool edge = !started_ || done == total;
  if (mode_ == Progress::kNone || (!edge && now - last_ < std::chrono::milliseconds(100))) return;
  if (mode_ == Progress::kPlain && !edge) return;
  last_ = now;
  started_ = true;
  draw(done, total);
}

void ProgressLine::draw(uint64_t done, uint64_t total) {
  switch (mode_) {
    case Progress::kBar: {
      const std::string text = fmt::format(" {} {}/{} {}", phase_, done, total, unit_);
      const int width = std::clamp(terminal_columns() - static_cast<int>(text.size()) - 3, 0, 40);
      const int filled = total == 0 ? width : static_cast<int>(static_cast<uint64_t>(width) * done / total);
      write_stderr(fmt::format("\r\x1b[K[{:#<{}}{:.<{}}]{}", "", filled, "", width - filled, text));
      bar_is_visible = true;
      break;
    }
    case Progress::kPlain:
      write_stderr(fmt::format("{} {}/{} {}\n", phase_, done, total, unit_));
      break;
    case Progress::kJson:
      write_stderr(json_text({{"event", "progress"}, {"phase", phase_}, {"done", done}, {"total", total}, {"unit", unit_}}) +
                   "\n");
      break;
    default:
      break;
  }
}

}  // namespace bitnet::cli
