// unit/backend/elf_file_test.cpp - the ELF reader on a real plugin, and on thousands of damaged copies of it.
#include "backend/elf_file.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <random>

#include "backend/cpu_features.h"
#include "backend/manifest.h"
#include "base/error.h"
#include "plugin_files.h"

namespace bitnet::backend {
namespace {

// The reason for refusing the bytes, "" when they are accepted.
std::string refusal(std::span<const uint8_t> bytes) {
  try {
    const ElfFacts facts = inspect_elf(bytes);
    EXPECT_LE(facts.manifest.size(), kMaxManifestBytes);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNoBackend);
    const std::string message = error.what();
    EXPECT_FALSE(message.empty());
    EXPECT_EQ(message.find('\n'), std::string::npos);
    return message;
  }
}

// The same for the first `length` bytes: a copy of exact size, so that a sanitizer sees each byte read beyond it.
std::string refusal_when_cut(const Bytes& file, size_t length) {
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[length]);
  std::copy_n(file.begin(), length, exact.get());
  return refusal({exact.get(), length});
}

Elf64_Ehdr header_of(const Bytes& file) {
  Elf64_Ehdr header;
  std::memcpy(&header, file.data(), sizeof header);
  return header;
}

template <class T>
Bytes patched(Bytes file, size_t offset, T value) {
  std::memcpy(file.data() + offset, &value, sizeof value);
  return file;
}

// Offset of the header of the first section of a type.
size_t section_of_type(const Bytes& file, uint32_t type) {
  const Elf64_Ehdr header = header_of(file);
  for (size_t i = 0; i < header.e_shnum; ++i) {
    const size_t at = header.e_shoff + i * sizeof(Elf64_Shdr);
    Elf64_Shdr section;
    std::memcpy(&section, file.data() + at, sizeof section);
    if (section.sh_type == type) return at;
  }
  throw std::runtime_error("no such section");
}

TEST(ElfFile, RealPluginShowsManifestAndEntry) {
  const Bytes file = portable_plugin();
  const ElfFacts facts = inspect_elf(file);
  EXPECT_TRUE(facts.exports_entry);
  EXPECT_EQ(parse_manifest(facts.manifest).name, "cpu_portable");
  EXPECT_EQ(facts.manifest.back(), '}');
}

TEST(ElfFile, HeaderFieldsAreNamed) {
  const Bytes file = portable_plugin();
  EXPECT_EQ(refusal({}), "the file is empty");
  EXPECT_EQ(refusal(to_bytes("#!/bin/sh\n")), "not a shared library (no ELF header)");
  EXPECT_EQ(refusal(patched<uint8_t>(file, EI_CLASS, ELFCLASS32)), "not a 64-bit library");
  EXPECT_EQ(refusal(patched<uint8_t>(file, EI_DATA, ELFDATA2MSB)), "not a little-endian library");
  EXPECT_EQ(refusal(patched<uint16_t>(file, offsetof(Elf64_Ehdr, e_type), ET_EXEC)),
            "not a shared library (ELF type 2, expected 3)");
  const std::string here(host_arch()), other = here == "x86_64" ? "aarch64" : "x86_64";
  const auto made_for = [&](uint16_t machine) { return refusal(patched(file, offsetof(Elf64_Ehdr, e_machine), machine)); };
  EXPECT_EQ(made_for(EM_RISCV), "made for another machine (ELF machine 243; this one is " + here + ")");
  EXPECT_EQ(made_for(here == "x86_64" ? EM_AARCH64 : EM_X86_64),
            "made for another machine (" + other + "; this one is " + here + ")");
  EXPECT_EQ(refusal(patched<uint16_t>(file, offsetof(Elf64_Ehdr, e_shentsize), 63)), "damaged: no usable section table");
  EXPECT_EQ(refusal(patched<uint16_t>(file, offsetof(Elf64_Ehdr, e_phentsize), 55)), "damaged: no usable segment table");
}

TEST(ElfFile, TablesOutsideTheFileAreRefused) {
  const Bytes file = portable_plugin();
  const uint64_t size = file.size();
  for (const uint64_t offset : {size, size - 1, size + 1, ~uint64_t{0}, ~uint64_t{0} - 63, uint64_t{1} << 63}) {
    EXPECT_NE(refusal(patched(file, offsetof(Elf64_Ehdr, e_shoff), offset)).find("the section table"), std::string::npos);
    EXPECT_NE(refusal(patched(file, offsetof(Elf64_Ehdr, e_phoff), offset)).find("the segment table"), std::string::npos);
  }
  EXPECT_NE(refusal(patched<uint16_t>(file, offsetof(Elf64_Ehdr, e_shnum), 0xFEFF)).find("the section table"),
            std::string::npos);
  EXPECT_NE(refusal(patched<uint16_t>(file, offsetof(Elf64_Ehdr, e_shstrndx), 999)).find("section 999 of"), std::string::npos);
  const size_t symbols = section_of_type(file, SHT_DYNSYM);
  EXPECT_NE(refusal(patched(file, symbols + offsetof(Elf64_Shdr, sh_size), ~uint64_t{0})).find("dynamic symbol table"),
            std::string::npos);
  EXPECT_NE(refusal(patched<uint32_t>(file, symbols + offsetof(Elf64_Shdr, sh_link), 77777)).find("section 77777 of"),
            std::string::npos);
  EXPECT_EQ(refusal(patched<uint32_t>(file, symbols + offsetof(Elf64_Shdr, sh_type), SHT_PROGBITS)),
            "damaged: no dynamic symbol table");
}

// The loader would map it and die of SIGBUS on the first access.
TEST(ElfFile, P2_SegmentBeyondTheFileIsRefused) {
  const Bytes file = portable_plugin();
  const Elf64_Ehdr header = header_of(file);
  size_t loads = 0;
  for (size_t i = 0; i < header.e_phnum; ++i) {
    const size_t at = header.e_phoff + i * sizeof(Elf64_Phdr);
    Elf64_Phdr segment;
    std::memcpy(&segment, file.data() + at, sizeof segment);
    if (segment.p_type != PT_LOAD) continue;
    ++loads;
    Bytes bad = patched<uint64_t>(file, at + offsetof(Elf64_Phdr, p_filesz), file.size() - segment.p_offset + 1);
    EXPECT_NE(refusal(bad).find(fmt::format("segment {} at offset", i)), std::string::npos);
    bad = patched<uint64_t>(file, at + offsetof(Elf64_Phdr, p_memsz), segment.p_filesz - 1);
    EXPECT_NE(refusal(bad).find(fmt::format("segment {} is larger", i)), std::string::npos);
  }
  EXPECT_GE(loads, 2u);
}

TEST(ElfFile, ManifestLargerThanTheLimitIsRefused) {
  Bytes file = portable_plugin();
  const Elf64_Ehdr header = header_of(file);
  const ElfFacts facts = inspect_elf(file);
  file.resize(file.size() + 2 * kMaxManifestBytes);  // room behind the section table
  for (size_t i = 0; i < header.e_shnum; ++i) {
    const size_t at = header.e_shoff + i * sizeof(Elf64_Shdr);
    Elf64_Shdr section;
    std::memcpy(&section, file.data() + at, sizeof section);
    if (std::memcmp(file.data() + section.sh_offset, facts.manifest.data(), std::min<size_t>(section.sh_size, 60)) != 0 ||
        section.sh_size < 60) {
      continue;
    }
    const size_t size_at = at + offsetof(Elf64_Shdr, sh_size);
    EXPECT_EQ(refusal(patched<uint64_t>(file, size_at, kMaxManifestBytes)), "");
    EXPECT_EQ(refusal(patched<uint64_t>(file, size_at, kMaxManifestBytes + 1)),
              "manifest (section .bnplug) of 65537 bytes, at most 65536 are allowed");
    return;
  }
  FAIL() << "no manifest section";
}

TEST(ElfFile, EntryMustBeADefinedFunction) {
  EXPECT_FALSE(inspect_elf(replaced(portable_plugin(), "bitnet_plugin_v1", "bitnet_plugin_v2")).exports_entry);
  Bytes file = portable_plugin();
  Elf64_Shdr table;
  std::memcpy(&table, file.data() + section_of_type(file, SHT_DYNSYM), sizeof table);
  for (size_t at = table.sh_offset; at < table.sh_offset + table.sh_size; at += sizeof(Elf64_Sym)) {
    const Bytes undefined = patched<uint16_t>(file, at + offsetof(Elf64_Sym, st_shndx), SHN_UNDEF);
    const Bytes hidden = patched<uint8_t>(file, at + offsetof(Elf64_Sym, st_other), STV_HIDDEN);
    const Bytes object = patched<uint8_t>(file, at + offsetof(Elf64_Sym, st_info), ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT));
    const Bytes local = patched<uint8_t>(file, at + offsetof(Elf64_Sym, st_info), ELF64_ST_INFO(STB_LOCAL, STT_FUNC));
    const bool is_entry = !inspect_elf(undefined).exports_entry;
    EXPECT_EQ(inspect_elf(hidden).exports_entry, !is_entry);
    EXPECT_EQ(inspect_elf(object).exports_entry, !is_entry);
    EXPECT_EQ(inspect_elf(local).exports_entry, !is_entry);
    if (is_entry) return;
  }
  FAIL() << "no entry symbol";
}

TEST(ElfFile, P2_CutAtEveryLengthIsRefused) {
  const Bytes file = portable_plugin();
  const size_t coarse = 1 + file.size() / 1500;  // the tables are at the two ends
  for (size_t length = 0; length < file.size(); length += (length < 1024 || length + 256 > file.size()) ? 1 : coarse) {
    EXPECT_NE(refusal_when_cut(file, length), "") << length;
  }
}

// Every byte of every table that is read, with the values that hurt most.
TEST(ElfFile, AnyByteOfTheTablesMayBeAnything) {
  Bytes file = portable_plugin();
  const Elf64_Ehdr header = header_of(file);
  Elf64_Shdr symbols;
  std::memcpy(&symbols, file.data() + section_of_type(file, SHT_DYNSYM), sizeof symbols);
  const std::pair<size_t, size_t> ranges[] = {{0, sizeof(Elf64_Ehdr)},
                                              {header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr)},
                                              {header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr)},
                                              {symbols.sh_offset, symbols.sh_size}};
  size_t refused = 0;
  for (const auto& [offset, size] : ranges) {
    for (size_t at = offset; at < offset + size; ++at) {
      const uint8_t original = file[at];
      for (const uint8_t value : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
        file[at] = value;
        refused += refusal(file) != "" ? 1 : 0;
      }
      file[at] = original;
    }
  }
  EXPECT_GT(refused, 500u);
}

TEST(ElfFile, RandomDamageNeverCrashes) {
  const Bytes file = portable_plugin();
  const Elf64_Ehdr header = header_of(file);
  std::mt19937_64 random(20240711);
  for (int round = 0; round < 2000; ++round) {
    Bytes bad = file;
    for (uint64_t flips = 1 + random() % 8; flips > 0; --flips) {
      // Most flips go to the headers in front and the section table, where they matter.
      const size_t anywhere = random() % bad.size(), in_front = random() % 600;
      const size_t in_sections = header.e_shoff + random() % (header.e_shnum * sizeof(Elf64_Shdr));
      bad[std::array{anywhere, in_front, in_sections}[random() % 3]] = static_cast<uint8_t>(random());
    }
    if (random() % 4 == 0) {
      refusal_when_cut(bad, random() % bad.size());
    } else {
      refusal(bad);
    }
  }
}

}  // namespace
}  // namespace bitnet::backend
