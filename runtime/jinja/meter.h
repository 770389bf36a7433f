// jinja/meter.h - counts what a rendering does, stops it at the limits, and knows where in the template it is.
//
// Errors  Error{kUsage} with line and column.
// Threads one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "jinja/limits.h"
#include "jinja/source.h"

namespace bitnet::jinja {

class Meter {
 public:
  explicit Meter(const Source& source) : source_(source) {}

  // Errors from now on are at this byte of the template.
  void at(size_t position) { position_ = position; }
  size_t position() const { return position_; }

  void spend(uint64_t steps) {
    if (steps > kMaxSteps - spent_) fail("the template does more than {} steps", kMaxSteps);
    spent_ += steps;
  }
  // So many bytes of text are made, searched or compared.
  void spend_bytes(size_t bytes) {
    if (bytes > kMaxTextBytes) fail("a text of the template grows beyond {} bytes", kMaxTextBytes);
    spend(bytes / kBytesPerStep);
  }

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    fail_at(source_, position_, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  const Source& source_;
  size_t position_ = 0;
  uint64_t spent_ = 0;
};

}  // namespace bitnet::jinja
