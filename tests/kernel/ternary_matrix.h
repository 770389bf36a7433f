// kernel/ternary_matrix.h - matrices, activations and guarded memory of the conformance kit, for the tests of the mock.
#pragma once

#include "conformance/ternary_matrix.h"

namespace bitnet::kernel_test {
using conformance::Activations;
using conformance::Codes;
using conformance::Edge;
using conformance::Layout;
using conformance::Random;
using conformance::TernaryMatrix;
using conformance::Trits;
}  // namespace bitnet::kernel_test
