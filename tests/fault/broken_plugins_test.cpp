// fault/broken_plugins_test.cpp - about sixty broken plugin files in one folder: the program names each with the right reason,
// in bounded time, and still writes the story with the same text.
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Case {
  const char* row;   // of bad_inputs.md, or what else the test is named after
  std::string file;  // bn_FILE.so in the folder; of the build's zoo_FILE.so or broken_FILE.so
  const char* verdict;
  const char* reason;  // part of it
};
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      // Made below from a sound plugin.
      {"P1", "folder_instead", "refused", "it is a folder, not a file"},
      {"P9", "loop", "refused", "Too many levels of symbolic links"},
      {"P2", "empty", "refused", "the file is empty"},
      {"P2", "text", "refused", "not a shared library (no ELF header)"},
      {"P2", "cut", "refused", "damaged or cut off"},
      {"P2", "cut_by_a_byte", "refused", "damaged or cut off"},
      {"P2", "other_machine", "refused", "made for another machine (ELF machine 22"},
      {"P2", "thirty_two_bits", "refused", "not a 64-bit library"},
      {"P2", "big_endian", "refused", "not a little-endian library"},
      {"P2", "executable", "refused", "not a shared library (ELF type 2"},
      {"P4", "no_entry", "refused", "does not export bitnet_plugin_v1"},
      {"P4", "no_manifest", "refused", "no manifest (section .bnplug)"},
      {"Owner", "open_to_all", "refused", "the file can be changed by others (mode 666)"},
      // By their manifests: not one byte of these was run.
      {"P4", "no_json", "refused", "manifest: not valid JSON at byte"},
      {"P4", "big_manifest", "refused", "bytes, at most 65536 are allowed"},
      {"P4", "missing_key", "refused", "key \"schema\" is missing"},
      {"P5", "abi_two", "refused", "made for plugin ABI 2.0, this program has 1.x"},
      {"G3", "other_arch", "refused", "made for vax, this machine is"},
      {"G3", "other_cpu", "refused", "needs the CPU feature telepathy"},
      // By what they answer in the probe.
      {"P3", "undefined_symbol", "refused", "undefined symbol: zoo_absent_function"},
      {"P3", "needs_absent", "refused", "libbitnet_absent.so: cannot open shared object file"},
      {"P4", "entry_null", "refused", "needs a newer version of this program"},
      {"P5", "small_struct", "refused", "struct_size 64, at least 72 are required"},
      {"P4", "no_function", "refused", "lacks a required function"},
      {"P4", "no_id", "refused", "its table has no id"},
      {"P4", "other_id", "refused", "its table says id org.example.other, its manifest org.example.zoo"},
      {"P8", "no_device", "refused", "not supported on this machine: no zoo keeper"},
      {"P8", "enumerate_fails", "refused", "the register of animals is lost"},
      {"P8", "endless_devices", "refused", "more than 64 devices"},
      {"P8", "equal_ids", "refused", "two of its devices have the id zoo"},
      {"P8", "bad_device_id", "refused", "a device has the id 'a b'"},
      {"P11", "enumerate_throws", "refused", "threw an exception across the plugin boundary"},
      // By what they do to the probe.
      {"P6", "constructor_throws", "refused", "threw an exception where none may leave it (not in the mood)"},
      {"P6", "aborts", "crashed", "crashed with signal 6 (Aborted) while it was opened"},
      {"P6", "exits", "crashed", "ended the process with exit code 0 while it was opened"},
      {"P6", "crashes", "crashed", "crashed with signal 11 (Segmentation fault) while it was opened"},
      {"P4", "entry_wild", "crashed", "crashed with signal 11 (Segmentation fault) in bitnet_plugin_v1"},
      {"P6", "enumerate_exits", "crashed", "ended the process with exit code 0 in enumerate"},
      {"P6", "closes", "crashed", "closed file descriptors that are not its own while it was opened"},
      {"P7", "hangs", "hung", "no answer within 2000 ms while it was opened"},
      {"P7", "entry_hangs", "hung", "no answer within 2000 ms in bitnet_plugin_v1"},
      {"P7", "enumerate_hangs", "hung", "no answer within 2000 ms in enumerate"},
      {"P7", "floods", "hung", "no answer within 2000 ms while it was opened"},
      {"Rule6", "prints", "refused", "wrote to standard output: Thank you for choosing prints"},
      {"Rule6", "changes_rounding", "refused", "changed the floating-point modes"},
      {"Rule6", "fast_math", "refused", "changed the floating-point modes"},
      {"Rule6", "handler", "refused", "changed a signal handler"},
      {"Rule6", "folder", "refused", "changed the working directory"},
      {"Rule7", "thread", "refused", "started a thread"},
      {"Rule7", "forks", "refused", "started a process"},
      {"Rule7", "daemon", "refused", "started a process"},
      {"Answer", "forges", "refused", "its probe gave an answer that cannot be read"},
      {"Answer", "tells_all", "refused", "its probe answered with more than 262144 bytes"},
      // By what they do when they are loaded after all.
      {"Lies", "lies_devices", "lied", "answers differently than in its probe: devices other instead of one"},
      {"Lies", "lies_id", "lied", "answers differently than in its probe: its table says id org.example.somebody-else"},
      {"Lies", "lies_crash", "lied", "answers differently than in its probe: asked for device 0, it answers: I have changed"},
  };
  return all;
}

std::string built(const std::string& name) {
  for (const char* family : {"zoo_", "broken_"}) {
    const std::string path = std::string(BITNET_BROKEN_DIR) + "/" + family + name + ".so";
    if (fs::exists(path)) return path;
  }
  throw std::runtime_error("there is no broken plugin " + name);
}

std::string replaced(std::string bytes, const std::string& from, const std::string& to) {
  size_t at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  for (; at != std::string::npos; at = bytes.find(from, at)) bytes.replace(at, from.size(), to);
  return bytes;
}

std::string with_byte(std::string bytes, size_t at, int value) {
  bytes.at(at) = static_cast<char>(value);
  return bytes;
}

// What a file of a case that no compiler makes holds; nothing: it is a plugin of the build.
std::map<std::string, std::string> made_files() {
  const std::string sound = read_text(built("sound"));
  return {{"empty", ""},
          {"text", "this is not a library\n"},
          {"cut", sound.substr(0, sound.size() / 2)},
          {"cut_by_a_byte", sound.substr(0, sound.size() - 1)},
          {"other_machine", with_byte(sound, offsetof(Elf64_Ehdr, e_machine), EM_S390)},
          {"thirty_two_bits", with_byte(sound, EI_CLASS, ELFCLASS32)},
          {"big_endian", with_byte(sound, EI_DATA, ELFDATA2MSB)},
          {"executable", with_byte(sound, offsetof(Elf64_Ehdr, e_type), ET_EXEC)},
          {"no_entry", replaced(sound, "bitnet_plugin_v1", "bitnet_plugin_v0")},
          {"no_manifest", replaced(sound, ".bnplug", ".bnplux")},
          {"open_to_all", sound}};
}

std::string path_in(const TempFolder& folder, const std::string& name) { return folder / ("bn_" + name + ".so"); }

// Puts a case's file into a folder.
void make_file(const TempFolder& folder, const Case& c) {
  static const std::map<std::string, std::string> made = made_files();
  const std::string path = path_in(folder, c.file);
  if (c.file == "folder_instead") {
    fs::create_directory(path);
  } else if (c.file == "loop") {
    fs::create_symlink("bn_loop.so", path);
  } else if (const auto text = made.find(c.file); text != made.end()) {
    write_text(path, text->second);
  } else {
    fs::copy_file(built(c.file), path);
  }
  if (c.file == "open_to_all") ::chmod(path.c_str(), 0666);
}

// A sanitizer would turn the signals of the broken ones into words of its own.
ProgramOptions options() {
  ProgramOptions o;
  o.env = {{"ASAN_OPTIONS", "handle_segv=0:handle_abort=0:detect_leaks=0"}, {"TSAN_OPTIONS", "handle_segv=0:handle_abort=0"}};
  return o;
}

std::vector<std::string> rows() {
  std::vector<std::string> names;
  for (const Case& c : cases()) {
    if (std::find(names.begin(), names.end(), c.row) == names.end()) names.emplace_back(c.row);
  }
  return names;
}

void expect_named(const json& list, const TempFolder& folder, const Case& c) {
  SCOPED_TRACE(c.file);
  size_t found = 0;
  for (const json& plugin : list["plugins"]) {
    if (plugin["path"] != path_in(folder, c.file)) continue;
    ++found;
    const std::string reason = plugin.value("reason", "");
    EXPECT_FALSE(plugin["usable"]);
    EXPECT_EQ(plugin["verdict"], c.verdict) << reason;
    EXPECT_NE(reason.find(c.reason), std::string::npos) << reason;
    EXPECT_EQ(reason.find_first_of("\n\x1b"), std::string::npos) << reason;
    EXPECT_TRUE(plugin["devices"].empty());
  }
  EXPECT_EQ(found, 1u);
}

// Each row of the table in a folder of its own.
class BrokenPluginRows : public testing::TestWithParam<std::string> {};

TEST_P(BrokenPluginRows, AreNamedWithVerdictAndReason) {
  const TempFolder folder;
  for (const Case& c : cases()) {
    if (c.row == GetParam()) make_file(folder, c);
  }
  const ProgramResult listed = run_program({"backends", "list", "--json", "--plugin-dir", folder.path().string()}, options());
  ASSERT_EQ(listed.exit_code, 0) << listed;
  EXPECT_EQ(listed.err, "");
  const json list = json::parse(listed.out);
  for (const Case& c : cases()) {
    if (c.row == GetParam()) expect_named(list, folder, c);
  }
}

INSTANTIATE_TEST_SUITE_P(All, BrokenPluginRows, testing::ValuesIn(rows()), [](const auto& row) { return row.param; });

// All of them at once.
TEST(BrokenPlugins, LeaveTheProgramUnharmed) {
  EXPECT_GE(cases().size(), 50u);
  const TempFolder folder;
  for (const Case& c : cases()) make_file(folder, c);
  const std::vector<std::string> args = {"-p",       "Once upon a time", "-n",           "30",
                                         "--greedy", "--backend",        "cpu_portable", "--json"};
  const json undisturbed = json::parse(run_program(args).out);
  std::vector<std::string> among = args;
  among.insert(among.end(), {"--plugin-dir", folder.path().string()});
  const ProgramResult run = run_program(among, options());
  ASSERT_EQ(run.exit_code, 0) << run;
  const json j = json::parse(run.out);
  EXPECT_EQ(j["text"], undisturbed["text"]);
  EXPECT_EQ(j["logits_hash"], undisturbed["logits_hash"]);
  EXPECT_TRUE(j["fallback"].empty()) << j["fallback"];
}

// The program asks for one of them and goes on with the next of the list.
TEST(BrokenPlugins, NamedByTheUserTheyAreToldAndReplaced) {
  for (const auto& [name, said] : {std::pair<std::string, std::string>{"crashes", "crashed with signal 11"},
                                   std::pair<std::string, std::string>{"lies_devices", "differently than in its probe"},
                                   std::pair<std::string, std::string>{"abi_two", "made for plugin ABI 2.0"}}) {
    const ProgramResult run = run_program(
        {"-p", "Once", "-n", "3", "--greedy", "--plugin", built(name), "--backend", name + ",cpu_portable", "--json"},
        options());
    ASSERT_EQ(run.exit_code, 0) << name << run;
    EXPECT_NE(run.err.find(said), std::string::npos) << name << run;
    const json j = json::parse(run.out);
    EXPECT_EQ(j["backend"]["name"], "cpu_portable") << name;
    EXPECT_EQ(j["fallback"].at(0)["from"], name);
  }
}

// A third party's code runs in the program only when it is used or listed; otherwise in the probe alone.
TEST(BrokenPlugins, UnaskedTheirCodeRunsInNoProcessButTheProbe) {
  const TempFolder folder;
  fs::copy_file(built("marks"), folder / "bn_marks.so");
  const std::string mark = folder / "mark";
  ProgramOptions o = options();
  o.env.emplace_back("BROKEN_MARK", mark);
  const std::string dir = folder.path().string();
  ASSERT_EQ(run_program({"-p", "Once", "-n", "3", "--plugin-dir", dir}, o).exit_code, 0);
  EXPECT_FALSE(fs::exists(mark));
  ASSERT_EQ(run_program({"backends", "list", "--plugin-dir", dir}, o).exit_code, 0);
  EXPECT_TRUE(fs::exists(mark));
}

// --- many of them

// One after the other they would take twice the time allowed here.
TEST(BrokenPlugins, P7_TwentyThatHangAreTriedTogether) {
  const TempFolder folder;
  for (int i = 0; i < 20; ++i) fs::copy_file(built("hangs"), folder / ("bn_hangs_" + std::to_string(i) + ".so"));
  ProgramOptions o = options();
  o.timeout = 20;
  const ProgramResult run =
      run_program({"-p", "Once", "-n", "3", "--plugin-dir", folder.path().string(), "--backend", "cpu_portable"}, o);
  EXPECT_EQ(run.exit_code, 0) << run;
}

TEST(BrokenPlugins, P9_ThousandFilesOfOnePlugin) {
  const TempFolder folder;
  for (int i = 0; i < 1000; ++i) fs::create_symlink(built("sound"), folder / ("bn_sound_" + std::to_string(i) + ".so"));
  const ProgramResult list = run_program({"backends", "list", "--json", "--plugin-dir", folder.path().string()}, options());
  ASSERT_EQ(list.exit_code, 0) << list;
  const json j = json::parse(list.out);
  size_t usable = 0, duplicates = 0;
  for (const json& plugin : j["plugins"]) {
    if (plugin["path"].get<std::string>().rfind(folder.path().string(), 0) != 0) continue;
    usable += plugin["verdict"] == "usable" ? 1 : 0;
    duplicates += plugin["verdict"] == "duplicate" ? 1 : 0;
  }
  EXPECT_EQ(usable, 1u);
  EXPECT_EQ(duplicates, 255u);
  EXPECT_NE(j["warnings"].dump().find("has 1000 plugin files; only the first 256 are looked at"), std::string::npos);
}

// --- verdicts kept between runs

class Verdicts : public testing::Test {
 protected:
  Verdicts() {
    fs::copy_file(built("crashes"), dir_ / "bn_crashes.so");
    fs::copy_file(built("sound"), dir_ / "bn_sound.so");
    fs::create_directory(cache_.path() / "bitnet");
  }
  json list(const char* verb = "list") {
    ProgramOptions o = options();
    o.env.emplace_back("XDG_CACHE_HOME", cache_.path().string());
    const ProgramResult result = run_program({"backends", verb, "--json", "--plugin-dir", dir_.path().string()}, o);
    EXPECT_EQ(result.exit_code, 0) << result;
    const json listed = json::parse(result.out);
    json by_name;
    for (const json& plugin : listed["plugins"]) by_name[plugin["name"].get<std::string>()] = plugin;
    return by_name;
  }

  const TempFolder dir_, cache_;
};

TEST_F(Verdicts, AreKeptUntilTheFileChangesOrARescan) {
  EXPECT_TRUE(list()["crashes"]["verdict_age_seconds"].is_null());
  json again = list();
  for (const char* name : {"crashes", "sound", "cpu_portable"}) {
    EXPECT_TRUE(again[name]["verdict_age_seconds"].is_number()) << name << again[name];
  }
  EXPECT_EQ(again["crashes"]["verdict"], "crashed");
  EXPECT_EQ(again["sound"]["verdict"], "usable");
  // Repaired: the same name and path, other content.
  write_text(dir_ / "bn_crashes.so", replaced(read_text(built("sound")), "\"sound\"", "\"sund2\""));
  write_text(dir_ / "bn_crashes.so", replaced(read_text(dir_ / "bn_crashes.so"), "example.sound", "example.sund2"));
  const json repaired = list();
  EXPECT_EQ(repaired.at("sund2")["verdict"], "usable") << repaired;
  EXPECT_TRUE(repaired.at("sund2")["verdict_age_seconds"].is_null());
  EXPECT_TRUE(list("rescan")["sound"]["verdict_age_seconds"].is_null());
}

TEST_F(Verdicts, ADamagedCacheIsNoCache) {
  list();
  const std::string file = (cache_.path() / "bitnet/verdicts.json").string();
  ASSERT_TRUE(fs::exists(file));
  json content = json::parse(read_text(file));
  for (auto& [path, entry] : content["content"].items()) entry["devices"] = json::array({{{"id", "a,b\n"}}});
  write_text(file, content.dump());
  json j = list();
  EXPECT_TRUE(j["sound"]["verdict_age_seconds"].is_null());
  EXPECT_EQ(j["sound"]["verdict"], "usable");
  write_text(file, "{");
  EXPECT_EQ(list()["sound"]["verdict"], "usable");
}

// --- without the probe

TEST(BrokenPlugins, WithoutBnProbeStrangersAreRefusedAndOurOwnRun) {
  const TempFolder prefix;
  fs::create_directories(prefix.path() / "bin");
  fs::create_directories(prefix.path() / "lib/bitnet/plugins");
  fs::copy_file(BITNET_RUN, prefix / "bin/bitnet-run");
  fs::copy_file(BITNET_PLUGIN_DIR "/bn_cpu_portable.so", prefix / "lib/bitnet/plugins/bn_cpu_portable.so");
  ProgramOptions o = options();
  o.program = prefix / "bin/bitnet-run";
  const ProgramResult list = run_program({"backends", "list", "--json", "--plugin", built("sound")}, o);
  ASSERT_EQ(list.exit_code, 0) << list;
  const json j = json::parse(list.out);
  ASSERT_EQ(j["plugins"].size(), 2u) << j;
  EXPECT_EQ(j["plugins"][0]["verdict"], "refused");
  EXPECT_NE(j["plugins"][0]["reason"].get<std::string>().find("cannot be tried safely: bn_probe"), std::string::npos);
  EXPECT_EQ(j["plugins"][1]["name"], "cpu_portable");
  EXPECT_EQ(j["plugins"][1]["verdict"], "usable");
  EXPECT_NE(j["warnings"].dump().find("bn_probe"), std::string::npos);
}

// --- left out by the user

TEST(BrokenPlugins, GlobsLeaveFilesOut) {
  const auto verdicts = [&](const char* variable, const char* globs) {
    ProgramOptions o = options();
    o.env.emplace_back(variable, globs);
    const ProgramResult list =
        run_program({"backends", "list", "--json", "--plugin", built("sound"), "--plugin", built("marks")}, o);
    const json listed = json::parse(list.out);
    json by_name;
    for (const json& plugin : listed["plugins"]) {
      json& verdict = by_name[plugin["name"].get<std::string>()];
      if (verdict != "usable") verdict = plugin["verdict"];
    }
    return by_name;
  };
  EXPECT_EQ(verdicts("BITNET_PLUGINS_SKIP", "nothing,so*")["sound"], "skipped");
  EXPECT_EQ(verdicts("BITNET_PLUGINS_SKIP", "nothing,so*")["marks"], "usable");
  EXPECT_EQ(verdicts("BITNET_PLUGINS_SKIP", "broken_marks.so")["marks"], "skipped");
  json only = verdicts("BITNET_PLUGINS_ONLY", "sound");
  EXPECT_EQ(only["sound"], "usable");
  EXPECT_EQ(only["marks"], "skipped");
  EXPECT_EQ(only["cpu_portable"], "usable") << "the built-in one remains";
}

}  // namespace
}  // namespace bitnet::test
