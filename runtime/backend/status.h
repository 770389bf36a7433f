// backend/status.h - the ABI's status codes and errors in words.
//
// Threads  pure.
#pragma once

#include <string>

#include "bitnet/plugin.h"

namespace bitnet::backend {

// "device lost", "out of memory", ... for BN_E_DEVICE_LOST, BN_E_NO_MEMORY, ...
const char* status_name(bn_status code);

// What a plugin wrote into its error, safe to print and without an end of line; the name of `code` when it wrote nothing.
std::string error_text(bn_status code, const bn_error& error);

}  // namespace bitnet::backend
