// kernel/elf_file.h - what an ELF shared library says about itself: exports, needs, static data, manifest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitnet::kernel_test {

struct ElfFile {
  std::vector<std::string> exported;  // defined global and weak dynamic symbols
  std::vector<std::string> needed;    // DT_NEEDED
  std::string manifest;               // content of section .bnplug
  uint64_t writable_bytes = 0;        // .data and .bss
};

// Throws std::runtime_error if the file is not a 64-bit ELF file of this machine.
ElfFile read_elf(const std::string& path);

}  // namespace bitnet::kernel_test
