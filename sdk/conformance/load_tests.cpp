// conformance/load_tests.cpp - entry, devices, tables, and what loading leaves untouched.
#include <dlfcn.h>
#include <malloc.h>

#include <cstring>
#include <set>

#include "check.h"
#include "elf_file.h"
#include "manifest.h"
#include "process_state.h"
#include "test.h"

namespace bitnet::conformance {
namespace {

constexpr char kEnumerate[] =
    "plugin.h, enumerate: index 0,1,2,.. until BN_E_UNSUPPORTED, whose message says why there is no (further) device";
constexpr char kOpen[] = "plugin.h, open: options_json is an object, or NULL; unknown keys are ignored";

// dlopen, entry, enumerate, open and close leave the process as it was.
void leaves_process_alone(Subject& s) {
  const ProcessState before = process_state();
  const bn_plugin& plugin = s.plugin();
  expect_unchanged(before, "loading (static constructors and entry)");
  s.device_id();
  expect_unchanged(before, "enumerate");
  bn_device* device = s.device();
  if (s.offers(BN_ENGINE_ID)) return;  // an engine may own driver threads from now on
  expect_unchanged(before, "open");
  plugin.close(device);
  expect_unchanged(before, "close");
}

void process_ends_in_peace(Subject& s) { s.plugin().close(s.device()); }

void entry_any_minor(Subject& s) {
  const bn_plugin* table = &s.plugin();
  void* library = dlopen(s.request().path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto entry = reinterpret_cast<bn_entry_fn>(dlsym(library, "bitnet_plugin_v1"));
  for (const uint32_t minor : {0u, 1u, 1000u}) {
    expect(entry(minor) == table, say("bitnet_plugin_v1(%u) gave another table, or NULL", minor));
  }
}

void plugin_table(Subject& s) {
  const bn_plugin& p = s.plugin();
  expect(p.struct_size >= 72, say("bn_plugin.struct_size is %u, the smallest legal one 72", p.struct_size), rule::kSizes);
  for (const char* text : {p.id, p.version, p.vendor}) {
    expect(text != nullptr && text[0] != '\0', "id, version and vendor have to be texts");
  }
  expect(p.enumerate != nullptr && p.open != nullptr && p.close != nullptr && p.get_interface != nullptr,
         "enumerate, open, close and get_interface have to be there");
  expect(p.flags >> 32 == 0, say("bn_plugin.flags has bits from 32 up: 0x%llx", static_cast<unsigned long long>(p.flags)),
         rule::kUnknown);
}

void manifest_matches(Subject& s) {
  const Manifest manifest = read_manifest(read_elf(s.request().path).manifest);
  expect(manifest.id == s.plugin().id, say("manifest id '%s', table id '%s'", manifest.id.c_str(), s.plugin().id));
  expect(manifest.version == s.plugin().version,
         say("manifest version '%s', table version '%s'", manifest.version.c_str(), s.plugin().version));
}

// With its options the device offers at least one tier, and none that the manifest does not name.
void tiers(Subject& s) {
  const std::vector<std::string> named = read_manifest(read_elf(s.request().path).manifest).tiers;
  const std::set<std::string> in_manifest(named.begin(), named.end());
  const bool kernels = s.offers(BN_KERNELS_ID), engine = s.offers(BN_ENGINE_ID);
  expect(kernels || engine, "the device offers neither " BN_KERNELS_ID " nor " BN_ENGINE_ID);
  expect(!kernels || in_manifest.count("kernels") != 0, "the device offers " BN_KERNELS_ID ", the manifest does not say so");
  expect(!engine || in_manifest.count("engine") != 0, "the device offers " BN_ENGINE_ID ", the manifest does not say so");
}

void kernels_table(Subject& s) {
  const bn_kernels_v1& k = s.kernels();
  expect(k.struct_size >= 56, say("bn_kernels_v1.struct_size is %u, the smallest legal one 56", k.struct_size), rule::kSizes);
  expect(k.numerics == BN_EXACT_1 || k.numerics == BN_APPROX_1, say("numerics is %u", k.numerics));
  expect(k.numerics == BN_EXACT_1 || (k.tolerance > 0 && k.tolerance < 1),
         say("approx-1 with tolerance %g", double{k.tolerance}));
  expect(k.row_granule >= 1, "row_granule is 0");
  expect(k.k_align >= 1 && k.k_align <= 256, say("k_align is %u, expected 1..256", k.k_align));
  expect(k.accepts != nullptr && k.pack_size != nullptr && k.pack != nullptr && k.matmul != nullptr,
         "accepts, pack_size, pack and matmul are required");
}

void engine_table(Subject& s) {
  const bn_engine_v1& e = s.engine();
  constexpr uint32_t kSize = 88;
  expect(e.struct_size >= kSize, say("bn_engine_v1.struct_size is %u, the smallest legal one %u", e.struct_size, kSize),
         rule::kSizes);
  expect(e.numerics == BN_EXACT_1 || e.numerics == BN_APPROX_1, say("numerics is %u", e.numerics));
  expect(e.accepts != nullptr && e.fit != nullptr && e.load != nullptr && e.unload != nullptr && e.session_create != nullptr &&
             e.session_destroy != nullptr && e.append != nullptr && e.decode != nullptr && e.truncate != nullptr,
         "every function of bn_engine_v1 is required");
}

void devices(Subject& s) {
  constexpr uint32_t kMost = 64;
  s.device_id();  // throws if there is none here
  std::set<std::string> ids;
  for (uint32_t index = 0; index < kMost; ++index) {
    const Where where(say("index %u", index));
    bn_device_info info = {};
    info.struct_size = sizeof info;
    bn_error error = fresh_error();
    const bn_status status = s.plugin().enumerate(s.host().get(), index, &info, &error);
    if (status != BN_OK) {
      expect(status == BN_E_UNSUPPORTED, say("it answered %s", status_name(status)));
      expect(error.code == status, say("bn_error.code is %d, the answer %d", error.code, status));
      expect(error.message[0] != '\0', "a negative answer has a sentence");
      return;
    }
    expect(std::memchr(info.id, '\0', sizeof info.id) != nullptr && info.id[0] != '\0', "bn_device_info.id is no text");
    expect(std::memchr(info.name, '\0', sizeof info.name) != nullptr && info.name[0] != '\0', "bn_device_info.name is no text");
    expect(ids.insert(info.id).second, say("device id '%s' twice", info.id));
    expect(info.kind >= BN_DEV_CPU && info.kind <= BN_DEV_TEST, say("bn_device_info.kind is %u", info.kind));
  }
  fail(say("more than %u devices", kMost));
}

// NULL for bn_error, wherever one may be.
void null_error(Subject& s) {
  bn_device_info info = {};
  info.struct_size = sizeof info;
  const std::string id = s.device_id();
  const bn_status status = s.plugin().enumerate(s.host().get(), 1000000, &info, nullptr);
  expect(status == BN_E_UNSUPPORTED, say("enumerate(1000000) answered %s", status_name(status)), kEnumerate);
  bn_device* device = nullptr;
  expect_ok(s.plugin().open(s.host().get(), id.c_str(), s.options(), &device, nullptr), "open");
  s.plugin().close(device);
}

// A struct in memory that ends where it ends, or longer, with a tail of 0xA5 that has to survive.
template <class T>
class Sized {
 public:
  Sized(const char* name, size_t tail, const T& content = T{}) : memory_(name, sizeof(T) + tail, Edge::kEnd, 8) {
    std::memset(memory_.data(), 0xA5, memory_.size());
    std::memcpy(memory_.data(), &content, sizeof(T));
    get()->struct_size = static_cast<uint32_t>(memory_.size());
  }
  T* get() const { return reinterpret_cast<T*>(memory_.data()); }
  void expect_tail() const {
    for (size_t i = sizeof(T); i < memory_.size(); ++i) {
      expect(memory_.data()[i] == 0xA5, say("byte %zu of %s was written: past what the plugin knows", i, memory_.name()));
    }
  }

 private:
  GuardedBytes memory_;
};

void struct_sizes(Subject& s) {
  const std::string id = s.device_id();
  for (const size_t tail : {size_t{0}, size_t{8}, size_t{64}}) {
    const Where where(tail == 0 ? "structs end at an unmapped page"
                                : say("structs are %zu bytes longer than in 1.0, the rest holds 0xA5", tail));
    const Sized<bn_host> host("bn_host", tail, *s.host().get());
    const Sized<bn_device_info> info("bn_device_info", tail);
    const Sized<bn_error> error("bn_error", tail);
    expect_ok(s.plugin().enumerate(host.get(), 0, info.get(), error.get()), "enumerate(0)", error.get());
    const bn_status status = s.plugin().enumerate(host.get(), 1000000, info.get(), error.get());
    expect(status == BN_E_UNSUPPORTED, say("enumerate(1000000) answered %s", status_name(status)), kEnumerate);
    bn_device* device = nullptr;
    expect_ok(s.plugin().open(host.get(), id.c_str(), s.options(), &device, error.get()), "open", error.get());
    s.plugin().close(device);
    info.expect_tail();
    error.expect_tail();
  }
}

void unknown_interface(Subject& s) {
  for (const char* id : {"", "bn.kernels", "bn.kernels/2", "bn.kernels/10", "bn.engine/2", "com.example.nothing/1"}) {
    expect(s.plugin().get_interface(s.device(), id) == nullptr, say("get_interface(\"%s\") is not NULL", id));
  }
}

void unknown_option(Subject& s) {
  std::string options = s.request().options.empty() ? "{}" : s.request().options;
  const size_t brace = options.find('{');
  expect(brace != std::string::npos, "--options is not a JSON object", "usage");
  const size_t next = options.find_first_not_of(" \n\t", brace + 1);
  const bool empty = next == std::string::npos || options[next] == '}';
  options.insert(brace + 1, std::string(R"("com.example.unknown": [1, {}])") + (empty ? "" : ", "));
  bn_device* device = nullptr;
  bn_error error = fresh_error();
  expect_ok(s.plugin().open(s.host().get(), s.device_id().c_str(), options.c_str(), &device, &error), "open", &error);
  s.plugin().close(device);
}

// Opens and closes often; what is taken meanwhile must come back.
void open_and_close(Subject& s) {
  constexpr int kWarm = 20, kTimes = 200, kSmallest = 8;
  const std::string id = s.device_id();
  const auto once = [&] {
    bn_device* device = nullptr;
    bn_error error = fresh_error();
    expect_ok(s.plugin().open(s.host().get(), id.c_str(), s.options(), &device, &error), "open", &error);
    expect(
        s.plugin().get_interface(device, BN_KERNELS_ID) != nullptr || s.plugin().get_interface(device, BN_ENGINE_ID) != nullptr,
        "the device offers no tier");
    s.plugin().close(device);
  };
  for (int i = 0; i < kWarm; ++i) once();
  const size_t before = mallinfo2().uordblks;
  const int64_t from_host = s.host().living_allocations();
  for (int i = 0; i < kTimes; ++i) once();
  const size_t after = mallinfo2().uordblks;
  expect(after < before + kTimes * kSmallest, say("%d times open and close left %zu bytes on the heap", kTimes, after - before),
         rule::kOwner);
  expect(
      s.host().living_allocations() == from_host,
      say("%lld blocks of bn_host.alloc were not released", static_cast<long long>(s.host().living_allocations() - from_host)),
      rule::kOwner);
}

}  // namespace

Tests load_tests() {
  Tests tests = {{"load.leaves_process_alone", rule::kBoundary, leaves_process_alone},
                 {"load.entry_any_minor",
                  "plugin.h rule 3 and bn_entry_fn: a plugin serves hosts of every minor from its own up", entry_any_minor},
                 {"load.plugin_table", "plugin.h, bn_plugin: the table is complete", plugin_table},
                 {"load.manifest_matches", "plugin.h, BN_MANIFEST: file and table say the same", manifest_matches},
                 {"load.devices", kEnumerate, devices},
                 {"load.tiers", "plugin.h, get_interface: NULL means not offered", tiers},
                 {"load.kernels_table", "kernels.h, bn_kernels_v1", kernels_table},
                 {"load.engine_table", "engine.h, bn_engine_v1", engine_table},
                 {"load.null_error", "plugin.h: bn_error is allocated by the caller; may be NULL", null_error},
                 {"load.struct_sizes", rule::kSizes, struct_sizes},
                 {"load.unknown_interface", "plugin.h, get_interface: NULL means not offered", unknown_interface},
                 {"load.unknown_option", kOpen, unknown_option},
                 {"load.open_and_close", rule::kOwner, open_and_close},
                 {"load.process_ends_in_peace", rule::kBoundary, process_ends_in_peace}};
  tests.back().ends_normally = true;
  return tests;
}

}  // namespace bitnet::conformance
