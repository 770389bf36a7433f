// backend/layouts.h - the two layouts of ternary matrices that the runtime hands to plugins.
//
// Threads  all functions are pure; what they return lives as long as the program.
#pragma once

#include "bitnet/formats.h"

namespace bitnet::backend {

// bn.t2, which every plugin takes: rows of ceil(cols / 4) bytes.
const bn_format& format_t2();
// bn.i2s128, as I2_S files have it: cols a multiple of 128.
const bn_format& format_i2s128();

}  // namespace bitnet::backend
