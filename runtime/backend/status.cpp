// backend/status.cpp - the names of the status codes.
#include "backend/status.h"

#include <cstring>

#include "base/error.h"

namespace bitnet::backend {

const char* status_name(bn_status code) {
  switch (code) {
    case BN_OK:
      return "no error";
    case BN_E_INVALID:
      return "invalid call";
    case BN_E_UNSUPPORTED:
      return "not supported";
    case BN_E_NO_MEMORY:
      return "out of memory";
    case BN_E_BUSY:
      return "busy";
    case BN_E_CANCELLED:
      return "cancelled";
    case BN_E_TIMEOUT:
      return "time budget used up";
    case BN_E_DATA:
      return "data rejected";
    case BN_E_DEVICE_LOST:
      return "device lost";
    case BN_E_INTERNAL:
      return "internal error";
    default:
      return "unknown status";
  }
}

std::string error_text(bn_status code, const bn_error& error) {
  const std::string_view text(error.message, ::strnlen(error.message, sizeof error.message));
  return text.empty() ? status_name(code) : printable(text, sizeof error.message);
}

}  // namespace bitnet::backend
