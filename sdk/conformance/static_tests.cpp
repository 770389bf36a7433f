// conformance/static_tests.cpp - what the file shows before any of its code runs.
#include "check.h"
#include "elf_file.h"
#include "manifest.h"
#include "test.h"

namespace bitnet::conformance {
namespace {

constexpr char kManifest[] = "plugin.h, BN_MANIFEST: static facts as JSON in section .bnplug, read before any code runs";
constexpr char kStateless[] = "plugin.h rule 9: kernels keep no state, so there is nothing to write to";

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

// Sanitizers add data and constructors of their own.
void needs_plain_build(const ElfFile& file) {
  for (const std::string& symbol : file.undefined) {
    for (const char* prefix : {"__asan_", "__tsan_", "__ubsan_", "__msan_"}) {
      if (symbol.starts_with(prefix)) throw NotApplicable{"the file is instrumented by a sanitizer"};
    }
  }
}

// An engine may have state; a plugin that offers kernels alone has none.
void needs_kernels_only(const ElfFile& file) {
  const std::vector<std::string> tiers = read_manifest(file.manifest).tiers;
  if (tiers != std::vector<std::string>{"kernels"}) throw NotApplicable{"the manifest's tiers are not kernels alone"};
}

void one_export(Subject& s) {
  const ElfFile file = read_elf(s.request().path);
  expect(file.exported == std::vector<std::string>{"bitnet_plugin_v1"},
         say("it exports %zu symbols: %s; link with the SDK's version script", file.exported.size(),
             joined(file.exported).c_str()));
}

void manifest(Subject& s) { read_manifest(read_elf(s.request().path).manifest); }

void no_thread_pool(Subject& s) {
  for (const std::string& library : read_elf(s.request().path).needed) {
    for (const char* pool : {"gomp", "iomp", "libomp", "tbb"}) {
      expect(library.find(pool) == std::string::npos, "it needs " + library);
    }
  }
}

void no_text_relocations(Subject& s) {
  expect(!read_elf(s.request().path).text_relocations, "its code has to be patched when it is loaded: compile with -fPIC");
}

// With symbols every object is judged by name; a stripped file may have what start files need.
void no_writable_data(Subject& s) {
  constexpr uint64_t kStartFiles = 128;
  const ElfFile file = read_elf(s.request().path);
  needs_plain_build(file);
  needs_kernels_only(file);
  expect(file.thread_local_bytes == 0,
         say("it has %llu bytes of thread-local data: %s", static_cast<unsigned long long>(file.thread_local_bytes),
             joined(file.own_writable).c_str()));
  expect(file.own_writable.empty(), "writable static data: " + joined(file.own_writable));
  expect(file.has_symbols || file.writable_bytes <= kStartFiles,
         say("%llu bytes of writable static data (the file is stripped, so there are no names)",
             static_cast<unsigned long long>(file.writable_bytes)));
}

void no_constructors(Subject& s) {
  constexpr uint64_t kStartFiles = 2;
  const ElfFile file = read_elf(s.request().path);
  needs_plain_build(file);
  needs_kernels_only(file);
  expect(file.own_constructors.empty(), "static constructors: " + joined(file.own_constructors));
  expect(file.has_symbols || file.constructors <= kStartFiles,
         say("%llu static constructors (the file is stripped, so there are no names)",
             static_cast<unsigned long long>(file.constructors)));
}

}  // namespace

Tests static_tests() {
  return {{"static.one_export", rule::kOneExport, one_export},
          {"static.manifest", kManifest, manifest},
          {"static.no_thread_pool", "sdk/README.md: the runtime has the only thread pool; no OpenMP, no TBB", no_thread_pool},
          {"static.no_text_relocations", "a shared library's code is mapped, not patched", no_text_relocations},
          {"static.no_writable_data", kStateless, no_writable_data},
          {"static.no_constructors", rule::kConstructors, no_constructors}};
}

}  // namespace bitnet::conformance
