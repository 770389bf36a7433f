// unit/gguf/counted_allocation.h - how much memory a call asks for.
#pragma once

#include <cstdint>

namespace bitnet::gguf::test {

// Bytes asked for through operator new since the program's start; freed bytes are not subtracted.
uint64_t allocated_bytes();

}  // namespace bitnet::gguf::test
