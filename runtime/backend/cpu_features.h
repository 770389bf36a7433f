// backend/cpu_features.h - what the CPU of this machine can do and the operating system lets us use, by name.
//
// The names are those a plugin's manifest lists under "cpu": on x86-64 the flags of gcc ("avx2", "fma", "avx512vnni"), on
// 64-bit Arm "asimd", "asimddp", "i8mm", "asimdhp", "sve" as in /proc/cpuinfo. A vector feature counts only when the system
// saves its registers.
// Threads  pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace bitnet::backend {

// Whether this machine has the feature; nothing for a name this program does not know.
std::optional<bool> cpu_has(std::string_view feature);

// Every name cpu_has() knows.
std::vector<std::string_view> known_cpu_features();

// "x86_64" or "aarch64", as in a manifest's "arch".
std::string_view host_arch();
// The same as the number in an ELF header.
uint16_t host_elf_machine();

}  // namespace bitnet::backend
