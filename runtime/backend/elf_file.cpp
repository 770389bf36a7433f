// backend/elf_file.cpp - bounded reading of the ELF header, segments, sections and dynamic symbols.
#include "backend/elf_file.h"

#include <elf.h>

#include <cstring>
#include <string_view>
#include <type_traits>

#include "backend/cpu_features.h"
#include "base/error.h"

namespace bitnet::backend {
namespace {

using Bytes = std::span<const uint8_t>;

constexpr std::string_view kManifestSection = ".bnplug";
constexpr std::string_view kEntrySymbol = "bitnet_plugin_v1";

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::kNoBackend, format, std::forward<Args>(args)...);
}

// The `size` bytes at `offset`, or an error that names them.
Bytes slice(Bytes file, uint64_t offset, uint64_t size, std::string_view what) {
  if (offset > file.size() || size > file.size() - offset) {
    refuse("damaged or cut off: {} at offset {} with {} bytes reaches beyond the file's {} bytes", what, offset, size,
           file.size());
  }
  return file.subspan(static_cast<size_t>(offset), static_cast<size_t>(size));
}

// Entry `index` of a table; the caller has checked that the table holds it.
template <class T>
T entry(Bytes table, uint64_t index) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, table.data() + index * sizeof(T), sizeof(T));
  return value;
}

// The NUL-terminated string at `offset`, without its NUL; empty when it lies outside the table.
std::string_view string_at(Bytes table, uint64_t offset) {
  if (offset >= table.size()) return {};
  const Bytes rest = table.subspan(static_cast<size_t>(offset));
  const void* end = std::memchr(rest.data(), 0, rest.size());
  if (end == nullptr) return {};
  const char* begin = reinterpret_cast<const char*>(rest.data());
  return {begin, static_cast<size_t>(static_cast<const char*>(end) - begin)};
}

// Plugins are defined for two machines; those have names.
std::string machine_name(uint16_t elf_machine) {
  switch (elf_machine) {
    case EM_X86_64:
      return "x86_64";
    case EM_AARCH64:
      return "aarch64";
    default:
      return fmt::format("ELF machine {}", elf_machine);
  }
}

Elf64_Ehdr checked_header(Bytes file) {
  if (file.empty()) refuse("the file is empty");
  if (file.size() < SELFMAG || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) refuse("not a shared library (no ELF header)");
  const auto header = entry<Elf64_Ehdr>(slice(file, 0, sizeof(Elf64_Ehdr), "the ELF header"), 0);
  if (header.e_ident[EI_CLASS] != ELFCLASS64) refuse("not a 64-bit library");
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) refuse("not a little-endian library");
  if (header.e_type != ET_DYN) refuse("not a shared library (ELF type {}, expected {})", header.e_type, ET_DYN);
  if (header.e_machine != host_elf_machine()) {
    refuse("made for another machine ({}; this one is {})", machine_name(header.e_machine), host_arch());
  }
  if (header.e_phnum == 0 || header.e_phentsize != sizeof(Elf64_Phdr)) refuse("damaged: no usable segment table");
  if (header.e_shnum == 0 || header.e_shentsize != sizeof(Elf64_Shdr)) refuse("damaged: no usable section table");
  return header;
}

// A segment that is mapped but not in the file would be a bus error inside the system's loader.
void check_segments(Bytes file, const Elf64_Ehdr& header) {
  const Bytes table = slice(file, header.e_phoff, uint64_t{header.e_phnum} * sizeof(Elf64_Phdr), "the segment table");
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = entry<Elf64_Phdr>(table, i);
    if (segment.p_type == PT_LOAD || segment.p_type == PT_DYNAMIC) {
      slice(file, segment.p_offset, segment.p_filesz, fmt::format("segment {}", i));
      if (segment.p_filesz > segment.p_memsz) refuse("damaged: segment {} is larger in the file than in memory", i);
    }
  }
}

class Sections {
 public:
  Sections(Bytes file, const Elf64_Ehdr& header)
      : file_(file),
        count_(header.e_shnum),
        table_(slice(file, header.e_shoff, count_ * sizeof(Elf64_Shdr), "the section table")),
        names_(contents(header.e_shstrndx, "the table of section names")) {}

  uint64_t count() const { return count_; }
  Elf64_Shdr operator[](uint64_t index) const { return entry<Elf64_Shdr>(table_, index); }
  std::string_view name(uint64_t index) const { return string_at(names_, (*this)[index].sh_name); }

  Bytes contents(uint64_t index, std::string_view what) const {
    if (index >= count_) refuse("damaged: {} is section {} of {}", what, index, count_);
    const Elf64_Shdr section = (*this)[index];
    if (section.sh_type == SHT_NOBITS) refuse("damaged: {} is an empty section", what);
    return slice(file_, section.sh_offset, section.sh_size, what);
  }

 private:
  Bytes file_;
  uint64_t count_;
  Bytes table_;
  Bytes names_;
};

std::string manifest_text(const Sections& sections) {
  for (uint64_t i = 0; i < sections.count(); ++i) {
    if (sections.name(i) != kManifestSection) continue;
    const Bytes text = sections.contents(i, "the manifest (section .bnplug)");
    if (text.size() > kMaxManifestBytes) {
      refuse("manifest (section .bnplug) of {} bytes, at most {} are allowed", text.size(), kMaxManifestBytes);
    }
    const std::string_view all(reinterpret_cast<const char*>(text.data()), text.size());
    return std::string(all.substr(0, all.find('\0')));
  }
  refuse("not a plugin of this program: no manifest (section .bnplug)");
}

bool is_exported_function(const Elf64_Sym& symbol) {
  const unsigned binding = ELF64_ST_BIND(symbol.st_info);
  const unsigned visibility = ELF64_ST_VISIBILITY(symbol.st_other);
  return symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
         (binding == STB_GLOBAL || binding == STB_WEAK) && (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

bool exports_entry(const Sections& sections) {
  for (uint64_t i = 0; i < sections.count(); ++i) {
    const Elf64_Shdr section = sections[i];
    if (section.sh_type != SHT_DYNSYM) continue;
    const Bytes symbols = sections.contents(i, "the dynamic symbol table");
    const Bytes names = sections.contents(section.sh_link, "the table of symbol names");
    for (uint64_t s = 0; s < symbols.size() / sizeof(Elf64_Sym); ++s) {
      const auto symbol = entry<Elf64_Sym>(symbols, s);
      if (is_exported_function(symbol) && string_at(names, symbol.st_name) == kEntrySymbol) return true;
    }
    return false;
  }
  refuse("damaged: no dynamic symbol table");
}

}  // namespace

ElfFacts inspect_elf(std::span<const uint8_t> file) {
  const Elf64_Ehdr header = checked_header(file);
  check_segments(file, header);
  const Sections sections(file, header);
  ElfFacts facts;
  facts.manifest = manifest_text(sections);
  facts.exports_entry = exports_entry(sections);
  return facts;
}

}  // namespace bitnet::backend
