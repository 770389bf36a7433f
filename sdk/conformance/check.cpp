// conformance/check.cpp - see check.h.
#include "check.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>

namespace bitnet::conformance {
namespace {

Board own_board;
Board* current = &own_board;

}  // namespace

Board& board() { return *current; }
void set_board(Board* shared) { current = shared; }

void note(char* to, size_t bytes, const std::string& text) {
  const size_t n = std::min(text.size(), bytes - 1);
  std::memcpy(to, text.data(), n);
  to[n] = '\0';
}

std::string say(const char* format, ...) {
  char text[2048];
  va_list args;
  va_start(args, format);
  std::vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return text;
}

void fail(const std::string& text, const std::string& rule) { throw Failure{rule, text}; }
void expect(bool holds, const std::string& text, const std::string& rule) {
  if (!holds) fail(text, rule);
}

const char* status_name(bn_status status) {
  static const char* const names[] = {
      "BN_OK",          "BN_E_INVALID", "BN_E_UNSUPPORTED", "BN_E_NO_MEMORY",   "BN_E_BUSY",
      "BN_E_CANCELLED", "BN_E_TIMEOUT", "BN_E_DATA",        "BN_E_DEVICE_LOST", "BN_E_INTERNAL"};
  return status >= 0 && status < 10 ? names[status] : "a status that does not exist";
}

void expect_ok(bn_status status, const char* function, const bn_error* error) {
  if (status == BN_OK) return;
  std::string text = say("%s answered %s (%d)", function, status_name(status), static_cast<int>(status));
  if (error != nullptr && error->message[0] != '\0') text += say(": %.240s", error->message);
  fail(text);
}

Where::Where(const std::string& text) : outer_length_(std::strlen(board().where)) {
  char* end = board().where + outer_length_;
  note(end, sizeof board().where - outer_length_, (outer_length_ == 0 ? "" : "; ") + text);
}

// After a throw the text stays: it tells where the failure was.
Where::~Where() {
  if (std::uncaught_exceptions() == 0) board().where[outer_length_] = '\0';
}

}  // namespace bitnet::conformance
