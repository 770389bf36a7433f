// model/packed_rows.h - packing as a plugin does it: the identity of its layout, and whether a stored copy still is its work.
//
// Threads  pure but for the plugin's pack(), which may run concurrently.
// Source   plugins.md, section 6; sdk/include/bitnet/formats.h for the canonical matrix.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "backend/ops.h"
#include "model/weights.h"

namespace bitnet::model {

// First 16 bytes, as hex, of the SHA-256 of the packed bytes of the canonical matrix given in layout `from` (bn.t2 or
// bn.i2s128). Throws backend::BackendError when the plugin does not pack it.
std::string layout_fingerprint(const backend::Ops& ops, const bn_format& from);

// Packs sixteen rows again - the first, the last, others at random - and compares them with `stored`, the packed matrix of
// pack_size() bytes. source: what would be packed; when its data is null, its rows come from matrix.read_t2().
bool rows_are_packed(const Matrix& matrix, const bn_tensor& source, const backend::Ops& ops, std::span<const uint8_t> stored);

// The same for a matrix stored as bn.t2.
bool rows_are_t2(const Matrix& matrix, std::span<const uint8_t> stored);

}  // namespace bitnet::model
