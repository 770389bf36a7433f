// kernel/elf_file.h - the ELF reader of the conformance kit, for the tests of the mock.
#pragma once

#include "conformance/elf_file.h"

namespace bitnet::kernel_test {
using conformance::ElfFile;
using conformance::read_elf;
}  // namespace bitnet::kernel_test
