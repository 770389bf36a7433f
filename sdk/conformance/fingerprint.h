// conformance/fingerprint.h - the fingerprint of the layout a plugin packs into.
#pragma once

#include "subject.h"
#include "ternary_matrix.h"

namespace bitnet::conformance {

TernaryMatrix canonical_matrix();  // of formats.h, as bn.t2
std::string hex(const uint8_t* bytes, size_t n);
// "32 hex digits  name". Throws as Subject does.
std::string fingerprint_text(Subject& s);

}  // namespace bitnet::conformance
