// conformance/elf_file.cpp - see elf_file.h. The file is hostile input: every offset is checked.
#include "elf_file.h"

#include <elf.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>

namespace bitnet::conformance {
namespace {

// Machine and byte order of this tool, taken from its own ELF header; a plugin must have the same.
Elf64_Ehdr own_header() {
  Elf64_Ehdr header = {};
  std::ifstream("/proc/self/exe", std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
  return header;
}

// What compilers and their libraries put into every shared library: start files, and libgcc's table of CPU features.
const std::set<std::string> kToolchainObjects = {
    "__dso_handle", "__TMC_END__", "completed.0",     "completed",
    "object.0",     "__cpu_model", "__cpu_features2", "__aarch64_have_lse_atomics"};
const std::set<std::string> kToolchainConstructors = {"frame_dummy", "__cpu_indicator_init", "init_cpu_features",
                                                      "init_have_lse_atomics"};

bool is_toolchain_object(const std::string& name) {
  return kToolchainObjects.count(name) != 0 || name.starts_with("DW.ref.__gxx_personality");
}

class Reader {
 public:
  explicit Reader(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot be read: " + std::string(std::strerror(errno)));
    file_.assign(std::istreambuf_iterator<char>(in), {});
    check_header();
    for (unsigned s = 0; s < header_.e_shnum; ++s) sections_.push_back(at<Elf64_Shdr>(header_.e_shoff, s));
    for (unsigned p = 0; p < header_.e_phnum; ++p) {
      const auto segment = at<Elf64_Phdr>(header_.e_phoff, p);
      if (segment.p_type == PT_GNU_RELRO) relro_ = segment;
    }
  }

  ElfFile read() {
    for (const Elf64_Shdr& s : sections_) {
      if (name(s) == ".bnplug") result_.manifest = content(s);
      if (s.sh_type == SHT_DYNSYM) read_dynamic_symbols(s);
      if (s.sh_type == SHT_DYNAMIC) read_dynamic(s);
      if (s.sh_type == SHT_SYMTAB) read_symbols(s);
      if (s.sh_type == SHT_INIT_ARRAY) result_.constructors += s.sh_size / 8;
      if ((s.sh_flags & SHF_TLS) != 0) result_.thread_local_bytes += s.sh_size;
      if (stays_writable(s)) result_.writable_bytes += s.sh_size;
    }
    if (result_.has_symbols) find_constructors();
    return result_;
  }

 private:
  void check_header() {
    if (file_.size() < sizeof header_ || std::memcmp(file_.data(), ELFMAG, SELFMAG) != 0) throw std::runtime_error("not ELF");
    header_ = at<Elf64_Ehdr>(0);
    const Elf64_Ehdr own = own_header();
    if (header_.e_ident[EI_CLASS] != ELFCLASS64) throw std::runtime_error("not a 64-bit ELF file");
    if (header_.e_machine != own.e_machine || header_.e_ident[EI_DATA] != own.e_ident[EI_DATA]) {
      throw std::runtime_error("made for another machine (ELF machine " + std::to_string(header_.e_machine) + ", this one is " +
                               std::to_string(own.e_machine) + ")");
    }
    if (header_.e_type != ET_DYN) throw std::runtime_error("not a shared library");
  }

  // The i-th T of a table that starts at `offset`.
  template <class T>
  T at(uint64_t offset, uint64_t i = 0) const {
    if (offset > file_.size() || i >= (file_.size() - offset) / sizeof(T)) throw std::runtime_error("a damaged ELF file");
    T value;
    std::memcpy(&value, file_.data() + offset + i * sizeof(T), sizeof(T));
    return value;
  }
  std::string content(const Elf64_Shdr& s) const {
    if (s.sh_offset > file_.size() || s.sh_size > file_.size() - s.sh_offset) throw std::runtime_error("a damaged ELF file");
    return file_.substr(s.sh_offset, s.sh_size);
  }
  std::string text(uint64_t strings, uint64_t offset) const {
    if (strings >= sections_.size()) throw std::runtime_error("a damaged ELF file");
    const uint64_t begin = sections_[strings].sh_offset + offset;
    const size_t end = begin < file_.size() ? file_.find('\0', begin) : std::string::npos;
    if (end == std::string::npos) throw std::runtime_error("a damaged ELF file");
    return file_.substr(begin, end - begin);
  }
  std::string name(const Elf64_Shdr& s) const { return text(header_.e_shstrndx, s.sh_name); }

  // Writable when the program runs: not made read-only after relocation, and not one of the linker's own tables.
  bool stays_writable(const Elf64_Shdr& s) const {
    if ((s.sh_flags & SHF_WRITE) == 0 || (s.sh_flags & SHF_ALLOC) == 0 || (s.sh_flags & SHF_TLS) != 0) return false;
    if (s.sh_type != SHT_PROGBITS && s.sh_type != SHT_NOBITS) return false;
    if (name(s).starts_with(".got")) return false;
    return s.sh_addr < relro_.p_vaddr || s.sh_addr >= relro_.p_vaddr + relro_.p_memsz;
  }

  void read_dynamic_symbols(const Elf64_Shdr& s) {
    for (uint64_t i = 1; i < s.sh_size / sizeof(Elf64_Sym); ++i) {
      const auto symbol = at<Elf64_Sym>(s.sh_offset, i);
      if (ELF64_ST_BIND(symbol.st_info) == STB_LOCAL) continue;
      (symbol.st_shndx == SHN_UNDEF ? result_.undefined : result_.exported).push_back(text(s.sh_link, symbol.st_name));
    }
  }
  void read_dynamic(const Elf64_Shdr& s) {
    for (uint64_t i = 0; i < s.sh_size / sizeof(Elf64_Dyn); ++i) {
      const auto entry = at<Elf64_Dyn>(s.sh_offset, i);
      if (entry.d_tag == DT_NEEDED) result_.needed.push_back(text(s.sh_link, entry.d_un.d_val));
      if (entry.d_tag == DT_TEXTREL || (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_TEXTREL) != 0)) {
        result_.text_relocations = true;
      }
    }
  }
  void read_symbols(const Elf64_Shdr& s) {
    result_.has_symbols = true;
    for (uint64_t i = 1; i < s.sh_size / sizeof(Elf64_Sym); ++i) {
      const auto symbol = at<Elf64_Sym>(s.sh_offset, i);
      const std::string symbol_name = text(s.sh_link, symbol.st_name);
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC) functions_[symbol.st_value] = symbol_name;
      if (symbol.st_shndx >= sections_.size() || symbol.st_size == 0) continue;
      const unsigned type = ELF64_ST_TYPE(symbol.st_info);
      const Elf64_Shdr& home = sections_[symbol.st_shndx];
      if ((type != STT_OBJECT || !stays_writable(home)) && type != STT_TLS) continue;
      if (is_toolchain_object(symbol_name)) continue;
      result_.own_writable.push_back(symbol_name + " (" + std::to_string(symbol.st_size) + " bytes, " + name(home) + ")");
    }
  }

  // The entries of .init_array are relocations, or stand in the file itself.
  void find_constructors() {
    for (const Elf64_Shdr& array : sections_) {
      if (array.sh_type != SHT_INIT_ARRAY) continue;
      for (uint64_t i = 0; i < array.sh_size / 8; ++i) {
        uint64_t target = at<uint64_t>(array.sh_offset, i);
        for (const Elf64_Shdr& s : sections_) {
          if (s.sh_type != SHT_RELA) continue;
          for (uint64_t r = 0; r < s.sh_size / sizeof(Elf64_Rela); ++r) {
            const auto relocation = at<Elf64_Rela>(s.sh_offset, r);
            if (relocation.r_offset == array.sh_addr + 8 * i) target = static_cast<uint64_t>(relocation.r_addend);
          }
        }
        const auto known = functions_.find(target);
        const std::string function = known == functions_.end() ? "a function without a name" : known->second;
        if (kToolchainConstructors.count(function) == 0) result_.own_constructors.push_back(function);
      }
    }
  }

  std::string file_;
  Elf64_Ehdr header_ = {};
  std::vector<Elf64_Shdr> sections_;
  Elf64_Phdr relro_ = {};
  std::map<uint64_t, std::string> functions_;
  ElfFile result_;
};

}  // namespace

ElfFile read_elf(const std::string& path) { return Reader(path).read(); }

}  // namespace bitnet::conformance
