// bitnet/kit/plugin.hpp - what a plugin in C++ needs at the boundary: exceptions become status codes, errors get a text.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <exception>
#include <new>

#include "bitnet/plugin.h"

namespace bn::kit {

// Fills *error (may be null) and returns code. printf format; text that is too long is cut.
__attribute__((format(printf, 3, 4))) static inline bn_status set_error(bn_error* error, bn_status code, const char* format,
                                                                        ...) {
  if (error == nullptr) return code;
  error->code = code;
  va_list args;
  va_start(args, format);
  std::vsnprintf(error->message, sizeof error->message, format, args);
  va_end(args);
  return code;
}

// Runs f() -> bn_status and lets no exception cross the boundary (rule 6).
template <class F>
static bn_status guard(bn_error* error, F&& f) noexcept {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return set_error(error, BN_E_NO_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return set_error(error, BN_E_INTERNAL, "%s", e.what());
  } catch (...) {
    return set_error(error, BN_E_INTERNAL, "an exception of unknown type");
  }
}

}  // namespace bn::kit
