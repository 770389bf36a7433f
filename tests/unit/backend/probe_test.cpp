// unit/backend/probe_test.cpp - bn_probe watched from outside: outcomes in order, and nothing left running.
#include "backend/probe.h"

#include <dirent.h>
#include <sys/wait.h>

#include <cerrno>

#include "plugin_files.h"

namespace bitnet::backend {
namespace {

using Kind = ProbeOutcome::Kind;

class Probe : public PluginTest {
 protected:
  static ProbeRequest broken(const std::string& name) { return {broken_path(name), "org.example." + name}; }
  static size_t open_descriptors() {
    size_t count = 0;
    DIR* folder = ::opendir("/proc/self/fd");
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
    return count;
  }
};

TEST_F(Probe, OutcomesComeInTheOrderOfTheRequests) {
  std::vector<ProbeRequest> requests;
  for (int i = 0; i < 20; ++i) {
    requests.push_back(broken("sound"));
    requests.push_back(broken("exits"));
  }
  const size_t before = open_descriptors();
  const auto outcomes = probe_files(BITNET_PROBE, requests);
  ASSERT_EQ(outcomes.size(), 40u);
  for (size_t i = 0; i < outcomes.size(); i += 2) {
    EXPECT_EQ(outcomes[i].kind, Kind::kUsable) << outcomes[i].reason;
    EXPECT_EQ(outcomes[i].devices.at(0).id, "one");
    EXPECT_FALSE(outcomes[i].libraries.empty());
    EXPECT_EQ(outcomes[i].reason, "");
    EXPECT_EQ(outcomes[i + 1].kind, Kind::kCrashed) << outcomes[i + 1].reason;
  }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD) << "a child is left";
}

TEST_F(Probe, P7_TheDeadlineEndsAHangingOne) {
  const auto outcomes = probe_files(BITNET_PROBE, {broken("hangs")}, 1500);
  EXPECT_EQ(outcomes[0].kind, Kind::kHung);
  EXPECT_EQ(outcomes[0].reason, "gave no answer within 1500 ms while it was opened (static constructors, libraries it needs)");
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(Probe, WhatTheManifestSaysIsCompared) {
  const auto outcomes = probe_files(BITNET_PROBE, {{broken_path("sound"), "org.example.other"}});
  EXPECT_EQ(outcomes[0].kind, Kind::kRefused);
  EXPECT_EQ(outcomes[0].reason, "its table says id org.example.sound, its manifest org.example.other");
}

// A failure of the probe itself says nothing about the plugin.
TEST_F(Probe, AProbeThatDoesNotWorkIsNotThePluginsFault) {
  const auto absent = probe_files("/nonexistent/bn_probe", {broken("sound")});
  EXPECT_EQ(absent[0].kind, Kind::kNotProbed);
  EXPECT_NE(absent[0].reason.find("/nonexistent/bn_probe cannot be started"), std::string::npos) << absent[0].reason;
  const auto failing = probe_files("/bin/false", {broken("sound")});
  EXPECT_EQ(failing[0].kind, Kind::kNotProbed);
  EXPECT_NE(failing[0].reason.find("bn_probe itself failed"), std::string::npos) << failing[0].reason;
}

}  // namespace
}  // namespace bitnet::backend
