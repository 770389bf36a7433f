// backend/elf_file.h - judges a shared library by its bytes, before the system's loader or any of its code touches it.
//
// Errors   throws Error{kNoBackend} with one line saying what is wrong; the caller knows the path.
// Input    hostile: every offset, size and index is checked against the file. Nothing is allocated from a count in it.
// Threads  pure.
// Source   System V ABI, ELF-64 object file format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace bitnet::backend {

inline constexpr size_t kMaxManifestBytes = size_t{64} << 10;

struct ElfFacts {
  std::string manifest;        // section .bnplug up to its first NUL, at most kMaxManifestBytes
  bool exports_entry = false;  // the dynamic symbol table defines bitnet_plugin_v1 as a function
};

// A 64-bit little-endian shared object for this machine whose tables and segments lie inside the file, or an error.
ElfFacts inspect_elf(std::span<const uint8_t> file);

}  // namespace bitnet::backend
