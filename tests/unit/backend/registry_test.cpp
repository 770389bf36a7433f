// unit/backend/registry_test.cpp - a real plugin is used; every file of the zoo becomes one line and nothing else.
#include "backend/registry.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "backend/quarantine.h"
#include "base/error.h"
#include "plugin_files.h"

namespace bitnet::backend {
namespace {

class RegistryTest : public PluginTest {};
class PluginZoo : public PluginTest {
 protected:
  // Refused by its bytes: not one byte of it was mapped as code.
  void expect_unopened(const Bytes& bytes, const std::string& reason) {
    const std::string path = folder_.write("bn_x.so", bytes);
    expect_refused(examined(path), reason);
    EXPECT_FALSE(is_mapped(path)) << reason;
  }
  // Refused by what it does when loaded.
  void expect_refused_fault(const std::string& fault, const std::string& reason) {
    expect_refused(examined(folder_.write("bn_zoo_" + fault + ".so", zoo_plugin(fault))), reason);
  }
  static void expect_refused(const Plugin& plugin, const std::string& reason) {
    EXPECT_FALSE(plugin.usable);
    EXPECT_TRUE(plugin.devices.empty());
    EXPECT_NE(plugin.reason.find(reason), std::string::npos) << "got: " << plugin.reason << "\nexpected: " << reason;
    EXPECT_EQ(plugin.reason.find_first_of("\n\x1b"), std::string::npos) << plugin.reason;
    EXPECT_LT(plugin.reason.size(), 500u);
    EXPECT_GE(plugin.milliseconds, 0);
  }
};

TEST_F(RegistryTest, PortablePluginIsFoundBesideTheProgram) {
  DiscoveryOptions options = PluginTest::options();
  options.program_path = BITNET_RUN;
  const Registry registry = Registry::discover(options);
  const Plugin* plugin = registry.find("cpu_portable");
  ASSERT_NE(plugin, nullptr);
  EXPECT_EQ(plugin, registry.find("org.bitnet-run.cpu-portable"));
  EXPECT_TRUE(plugin->usable) << plugin->reason;
  EXPECT_EQ(plugin->reason, "");
  EXPECT_TRUE(plugin->path.ends_with("/lib/bitnet/plugins/bn_cpu_portable.so")) << plugin->path;
  EXPECT_EQ(plugin->version, "0.1.0");
  EXPECT_EQ(plugin->vendor, "bitnet-run");
  EXPECT_EQ(plugin->kind, "cpu");
  EXPECT_EQ(plugin->numerics, "exact-1");
  EXPECT_EQ(plugin->tiers, std::vector<std::string>{"kernels"});
  ASSERT_EQ(plugin->devices.size(), 1u);
  EXPECT_EQ(plugin->devices[0].id, "cpu");
  EXPECT_EQ(plugin->devices[0].kind, static_cast<uint32_t>(BN_DEV_CPU));
  ASSERT_NE(plugin->load().table, nullptr);
  EXPECT_STREQ(plugin->host()->plugin_path, std::filesystem::canonical(plugin->path).c_str());
  EXPECT_GT(plugin->milliseconds, 0);
  EXPECT_EQ(registry.find("nothing"), nullptr);
}

TEST_F(RegistryTest, PortableKernelsAreBuiltInForWhenTheFileIsMissingOrDamaged) {
  DiscoveryOptions options = PluginTest::options();
  options.dirs = {folder_.path()};
  const Registry nothing = Registry::discover(options);
  ASSERT_EQ(nothing.plugins().size(), 1u);
  folder_.write("bn_cpu_portable.so", replaced(portable_plugin(), "\"abi\": [1, 0]", "\"abi\": [2, 0]"));
  const Registry damaged = Registry::discover(options);
  ASSERT_EQ(damaged.plugins().size(), 2u);
  EXPECT_FALSE(damaged.plugins()[0].usable);
  for (const Registry* registry : {&nothing, &damaged}) {
    const Plugin* plugin = registry->find("cpu_portable");
    ASSERT_NE(plugin, nullptr);
    EXPECT_TRUE(plugin->usable);
    EXPECT_EQ(plugin->path, "(built in)");
    EXPECT_EQ(plugin->id, "org.bitnet-run.cpu-portable");
    EXPECT_EQ(plugin->devices.at(0).id, "cpu");
  }
  folder_.write("bn_cpu_portable.so", portable_plugin());
  EXPECT_EQ(Registry::discover(options).plugins().size(), 1u);
}

TEST_F(RegistryTest, SoundZooPluginAndItsDevices) {
  const Plugin plugin = examined(zoo_plugin("none"));
  ASSERT_TRUE(plugin.usable) << plugin.reason;
  EXPECT_EQ(plugin.name, "zoo");
  EXPECT_EQ(plugin.vendor, "Zoo \\x1b[31m");  // a plugin's text reaches a terminal only like this
  ASSERT_EQ(plugin.devices.size(), 2u);
  EXPECT_EQ(plugin.devices[1].id, "zoo1");
  EXPECT_EQ(plugin.devices[1].mem_total, 64u << 20);
}

TEST_F(RegistryTest, LibrariesOutliveTheRegistry) {
  const Plugin plugin = examined(zoo_plugin("none"));  // its registry is gone
  ASSERT_TRUE(plugin.usable);
  plugin.load();
  EXPECT_TRUE(is_mapped(plugin.path));
  EXPECT_STREQ(plugin.load().table->id, "org.example.zoo");
  EXPECT_STREQ(plugin.host()->plugin_path, plugin.path.c_str());
}

TEST_F(RegistryTest, NothingIsLoadedBeforeItIsUsed) {
  const std::string path = folder_.write("bn_x.so", zoo_plugin("none"));
  const Plugin plugin = examined(path);
  ASSERT_TRUE(plugin.usable) << plugin.reason;
  EXPECT_FALSE(is_mapped(path));
  plugin.load();
  EXPECT_TRUE(is_mapped(path));
}

// The probe and the loaded plugin disagree: the verdict is not believed again.
TEST_F(RegistryTest, ALiarIsFoundOutWhenItIsLoaded) {
  DiscoveryOptions options = PluginTest::options();
  options.files = {broken_path("lies_devices")};
  Registry registry = Registry::discover(options);
  ASSERT_TRUE(registry.plugins().at(0).usable) << registry.plugins()[0].reason;
  EXPECT_THROW(registry.plugins()[0].load(), Error);
  EXPECT_THROW(registry.plugins()[0].load(), Error);
  registry.load_all();
  EXPECT_FALSE(registry.plugins()[0].usable);
  EXPECT_EQ(registry.plugins()[0].verdict, Verdict::kLied);
  EXPECT_THROW(registry.plugins()[0].load(), Error);
}

TEST_F(RegistryTest, AFailedDeviceIsOutForThisProcess) {
  const std::string path = folder_.write("bn_x.so", zoo_plugin("none"));
  DiscoveryOptions options = PluginTest::options();
  options.files = {path};
  const Registry before = Registry::discover(options);
  Quarantine::of_process().note_failure(path, "cpu", "zoo0", "device lost");
  const BackendFacts facts = before.facts().at(0);
  EXPECT_TRUE(facts.usable);
  EXPECT_EQ(facts.devices, std::vector<std::string>{"zoo1"});
  const Plugin plugin = Registry::discover(options).plugins().at(0);
  ASSERT_EQ(plugin.devices.size(), 1u);
  ASSERT_EQ(plugin.quarantined.size(), 1u);
  EXPECT_EQ(plugin.quarantined[0].id, "zoo0");
  EXPECT_EQ(plugin.quarantined[0].reason, "failed in this process: device lost");
  Quarantine::of_process().note_failure(path, "cpu", "zoo1", "hung");
  EXPECT_FALSE(before.facts().at(0).usable);
  EXPECT_EQ(before.facts().at(0).reason, "device zoo1 failed in this process: hung");
  EXPECT_EQ(Registry::discover(options).plugins().at(0).verdict, Verdict::kQuarantined);
  options.rescan = true;
  EXPECT_EQ(Registry::discover(options).plugins().at(0).devices.size(), 2u);
}

TEST_F(PluginZoo, P1_AbsentUnreadableFolder) {
  expect_refused(examined(folder_ / "bn_absent.so"), "cannot open it: No such file or directory");
  expect_refused(examined(folder_.make_folder("bn_folder.so")), "it is a folder, not a file");
  const std::string secret = folder_.write("bn_secret.so", portable_plugin());
  ASSERT_EQ(::chmod(secret.c_str(), 0), 0);
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const Plugin plugin = examined(secret);
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  expect_refused(plugin, "cannot open: Permission denied");
  EXPECT_EQ(plugin.name, "secret");
}

TEST_F(PluginZoo, P2_EmptyTextAndTruncatedFiles) {
  const Bytes whole = portable_plugin();
  expect_unopened({}, "the file is empty");
  expect_unopened(to_bytes("this is not a library\n"), "not a shared library (no ELF header)");
  for (const size_t length : {size_t{16}, size_t{64}, size_t{4096}, whole.size() / 2, whole.size() - 1}) {
    expect_unopened(Bytes(whole.begin(), whole.begin() + static_cast<long>(length)), "damaged or cut off");
  }
}

TEST_F(PluginZoo, WrongMachine) {
  Bytes bytes = portable_plugin();
  bytes[offsetof(Elf64_Ehdr, e_machine)] = EM_S390;
  bytes[offsetof(Elf64_Ehdr, e_machine) + 1] = 0;
  expect_unopened(bytes, "made for another machine (ELF machine 22");
}

TEST_F(PluginZoo, NoManifestOrABadOne) {
  expect_unopened(replaced(portable_plugin(), ".bnplug", ".bnplux"), "no manifest (section .bnplug)");
  expect_unopened(with_manifest("{\"schema\": 1,"), "manifest: not valid JSON at byte");
  expect_unopened(with_manifest(R"({"schema": 1})"), "manifest: key \"abi\" is missing");
}

TEST_F(PluginZoo, P5_OtherAbiMajor) {
  expect_unopened(replaced(portable_plugin(), "\"abi\": [1, 0]", "\"abi\": [2, 0]"),
                  "made for plugin ABI 2.0, this program has 1.x");
}

TEST_F(PluginZoo, G3_MissingCpuFeature) {
  const Plugin plugin = examined(
      with_manifest(R"({"schema":1,"abi":[1,0],"id":"a.b","name":"fast","version":"1","kind":"cpu","tiers":["kernels"],)"
                    R"("arch":["x86_64","aarch64"],"cpu":["nonexistent"],"numerics":"exact-1"})"));
  expect_refused(plugin, "needs the CPU feature nonexistent, which this program does not know");
  EXPECT_EQ(plugin.name, "fast");
  EXPECT_FALSE(is_mapped(plugin.path));
}

TEST_F(PluginZoo, P4_EntryMissing) {
  expect_unopened(replaced(portable_plugin(), "bitnet_plugin_v1", "bitnet_plugin_v0"), "does not export bitnet_plugin_v1");
}

TEST_F(PluginZoo, P3_UndefinedSymbolIsNamedAtLoad) {
  expect_refused_fault("undefined_symbol", "the system's loader refused it: undefined symbol: zoo_absent_function");
}

TEST_F(PluginZoo, P4_P8_EntryAndTable) {
  expect_refused_fault("entry_null", "needs a newer version of this program");
  expect_refused_fault("small_struct", "struct_size 64, at least 72 are required");
  expect_refused_fault("no_function", "its table lacks a required function");
  expect_refused_fault("no_id", "its table has no id");
  expect_refused_fault("other_id", "its table says id org.example.other, its manifest org.example.zoo");
}

TEST_F(PluginZoo, P8_NoDevice) {
  expect_refused_fault("no_device", "not supported on this machine: no zoo keeper in this\\nmachine");
  expect_refused_fault("enumerate_fails", "asked for device 0, it answers: the register of animals is lost");
}

TEST_F(PluginZoo, P11_ExceptionAcrossTheBoundary) { expect_refused_fault("enumerate_throws", "threw an exception"); }

TEST_F(PluginZoo, HostileDeviceTexts) {
  expect_refused_fault("bad_device_id", "a device has the id 'a b'");
  const Plugin rude = examined(folder_.write("bn_rude.so", zoo_plugin("rude_text")));
  ASSERT_TRUE(rude.usable) << rude.reason;
  EXPECT_EQ(rude.devices[0].name.find('\x1b'), std::string::npos);
  EXPECT_TRUE(rude.devices[0].name.starts_with("\\x1b\\x1b"));
  expect_refused_fault("endless_devices", "it has more than 64 devices");
  expect_refused_fault("equal_ids", "two of its devices have the id zoo");
}

TEST_F(PluginZoo, FilesOthersCanChange) {
  const std::string path = folder_.write("bn_x.so", portable_plugin());
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  const Plugin refused = examined(path);
  expect_refused(refused, "can be changed by others (mode 666)");
  EXPECT_FALSE(is_mapped(path));
  DiscoveryOptions options = PluginTest::options();
  options.files = {path};
  options.allow_unsafe = true;
  EXPECT_TRUE(Registry::discover(options).plugins().at(0).usable);
}

TEST_F(PluginZoo, P9_OneNameTwice) {
  DiscoveryOptions options = PluginTest::options();
  options.dirs = {folder_.make_folder("a"), folder_.make_folder("b")};
  const std::string first = folder_.write("a/bn_x.so", portable_plugin());
  const std::string second = folder_.write("b/bn_y.so", portable_plugin());
  std::filesystem::create_symlink(first, folder_ / "b/bn_z.so");
  const Registry registry = Registry::discover(options);
  ASSERT_EQ(registry.plugins().size(), 3u);
  EXPECT_TRUE(registry.plugins()[0].usable);
  expect_refused(registry.plugins()[1], "same name as " + first + ", which comes first");
  expect_refused(registry.plugins()[2], "same file as " + first + ", which comes first");
  EXPECT_FALSE(is_mapped(second));
  EXPECT_EQ(registry.find("cpu_portable"), &registry.plugins()[0]);
}

// A broken file must not stand in the way of a sound one of the same name.
TEST_F(PluginZoo, P9_RefusedFileDoesNotTakeTheName) {
  DiscoveryOptions options = PluginTest::options();
  options.dirs = {folder_.make_folder("a"), folder_.make_folder("b")};
  folder_.write("a/bn_cpu_portable.so", replaced(portable_plugin(), "\"abi\": [1, 0]", "\"abi\": [3, 0]"));
  const std::string sound = folder_.write("b/bn_cpu_portable.so", portable_plugin());
  const Registry registry = Registry::discover(options);
  ASSERT_NE(registry.find("cpu_portable"), nullptr);
  EXPECT_EQ(registry.find("cpu_portable")->path, sound);
  EXPECT_TRUE(registry.find("cpu_portable")->usable);
}

TEST_F(PluginZoo, ABadFileStopsNobody) {
  DiscoveryOptions options = PluginTest::options();
  options.dirs = {folder_.path()};
  folder_.write("bn_a.so", to_bytes("junk"));
  folder_.make_folder("bn_b.so");
  folder_.write("bn_c.so", zoo_plugin("entry_null"));
  folder_.write("bn_d.so", portable_plugin());
  const Registry registry = Registry::discover(options);
  ASSERT_EQ(registry.plugins().size(), 4u);
  EXPECT_TRUE(registry.plugins()[3].usable);
  const std::vector<BackendFacts> facts = registry.facts();
  ASSERT_EQ(facts.size(), 4u);
  EXPECT_EQ(facts[0].name, "a");
  EXPECT_EQ(facts[0].reason, registry.plugins()[0].reason);
  EXPECT_FALSE(facts[0].usable);
  EXPECT_EQ(facts[3].name, "cpu_portable");
  EXPECT_EQ(facts[3].id, "org.bitnet-run.cpu-portable");
  EXPECT_EQ(facts[3].kind, "cpu");
  EXPECT_EQ(facts[3].devices, std::vector<std::string>{"cpu"});
  EXPECT_TRUE(facts[3].usable);
}

}  // namespace
}  // namespace bitnet::backend
