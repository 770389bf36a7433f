// conformance/elf_file.h - what an ELF shared library says about itself, read without running any of its code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitnet::conformance {

struct ElfFile {
  std::vector<std::string> exported;          // defined global and weak dynamic symbols
  std::vector<std::string> undefined;         // dynamic symbols that others must give
  std::vector<std::string> needed;            // DT_NEEDED
  std::string manifest;                       // content of section .bnplug
  uint64_t writable_bytes = 0;                // .data, .bss and the like: what stays writable after relocation
  uint64_t thread_local_bytes = 0;            // .tdata, .tbss
  bool has_symbols = false;                   // a .symtab: the file is not stripped
  std::vector<std::string> own_writable;      // "NAME (n bytes, SECTION)": writable objects that no toolchain puts there
  uint64_t constructors = 0;                  // entries of .init_array
  std::vector<std::string> own_constructors;  // those that no toolchain puts there, by name; needs has_symbols
  bool text_relocations = false;
};

// Throws std::runtime_error, with the reason, if the file is not a 64-bit ELF shared library of this machine or is damaged.
ElfFile read_elf(const std::string& path);

}  // namespace bitnet::conformance
