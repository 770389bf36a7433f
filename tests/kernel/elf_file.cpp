// kernel/elf_file.cpp - see elf_file.h.
#include "kernel/elf_file.h"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace bitnet::kernel_test {
namespace {

// The i-th T of a table that starts at `offset`.
template <class T>
T at(const std::string& file, uint64_t offset, uint64_t i = 0) {
  const uint64_t begin = offset + i * sizeof(T);
  if (begin > file.size() || file.size() - begin < sizeof(T)) throw std::runtime_error("truncated ELF file");
  T value;
  std::memcpy(&value, file.data() + begin, sizeof(T));
  return value;
}

std::string text(const std::string& file, const Elf64_Shdr& strings, uint64_t offset) {
  return file.c_str() + strings.sh_offset + offset;
}

}  // namespace

ElfFile read_elf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string file((std::istreambuf_iterator<char>(in)), {});
  if (file.size() < sizeof(Elf64_Ehdr) || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) throw std::runtime_error("not ELF");
  const auto header = at<Elf64_Ehdr>(file, 0);
  const auto names = at<Elf64_Shdr>(file, header.e_shoff, header.e_shstrndx);
  ElfFile result;
  for (unsigned s = 0; s < header.e_shnum; ++s) {
    const auto section = at<Elf64_Shdr>(file, header.e_shoff, s);
    const std::string name = text(file, names, section.sh_name);
    if (name == ".bnplug") result.manifest = file.substr(section.sh_offset, section.sh_size);
    if (name == ".data" || name == ".bss") result.writable_bytes += section.sh_size;
    if (section.sh_type != SHT_DYNSYM && section.sh_type != SHT_DYNAMIC) continue;
    const auto strings = at<Elf64_Shdr>(file, header.e_shoff, section.sh_link);
    for (uint64_t i = 0; section.sh_type == SHT_DYNSYM && i < section.sh_size / sizeof(Elf64_Sym); ++i) {
      const auto symbol = at<Elf64_Sym>(file, section.sh_offset, i);
      if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_BIND(symbol.st_info) == STB_LOCAL) continue;
      result.exported.push_back(text(file, strings, symbol.st_name));
    }
    for (uint64_t i = 0; section.sh_type == SHT_DYNAMIC && i < section.sh_size / sizeof(Elf64_Dyn); ++i) {
      const auto entry = at<Elf64_Dyn>(file, section.sh_offset, i);
      if (entry.d_tag == DT_NEEDED) result.needed.push_back(text(file, strings, entry.d_un.d_val));
    }
  }
  return result;
}

}  // namespace bitnet::kernel_test
