// kernel/random.h - the seeded test data of the conformance kit, for the tests of the kit's arithmetic.
#pragma once

#include "conformance/random.h"

namespace bitnet::kernel_test {
using conformance::Random;
}  // namespace bitnet::kernel_test
