// unit/backend/loader_test.cpp - loading a plugin into this process: the stages told, the modes put back.
#include "backend/loader.h"

#include <cfenv>
#include <stdexcept>

#include "backend/host_services.h"
#include "base/error.h"
#include "plugin_files.h"

namespace bitnet::backend {
namespace {

class Loader : public PluginTest {
 protected:
  static const bn_host* host() {
    static HostServices services("zoo", "");
    return services.table();
  }
};

// A library linked with -ffast-math would turn subnormals off for the whole program.
TEST_F(Loader, FloatingPointModesSurviveALoad) {
  std::fenv_t before;
  std::fegetenv(&before);
  const LoadedPlugin plugin = load_plugin_file(zoo_path("changes_rounding"), "org.example.zoo", host());
  volatile float tiny = 1e-39f;
  volatile float same = tiny * 1.0f;
  const int rounding = std::fegetround();
  std::fesetenv(&before);
  EXPECT_EQ(plugin.devices.size(), 2u);
  EXPECT_EQ(same, tiny);
  EXPECT_GT(same, 0.0f);
  EXPECT_EQ(rounding, FE_TONEAREST);
}

TEST_F(Loader, StagesAreToldAndCanStopIt) {
  std::vector<LoadStage> stages;
  load_plugin_file(zoo_path("none"), "org.example.zoo", host(), [&](LoadStage stage) { stages.push_back(stage); });
  EXPECT_EQ(stages, (std::vector{LoadStage::kOpen, LoadStage::kEntry, LoadStage::kEnumerate}));
  const auto stop = [](LoadStage stage) {
    if (stage == LoadStage::kEntry) fail(ErrorKind::kNoBackend, "enough");
  };
  EXPECT_THROW(load_plugin_file(zoo_path("none"), "org.example.zoo", host(), stop), Error);
}

TEST_F(Loader, DeviceIds) {
  for (const char* good : {"cpu", "0000:c1:00.0", "GPU-5", "a_b"}) EXPECT_TRUE(is_device_id(good)) << good;
  for (const char* bad : {"", "a b", "a,b", "a\\b", "\x1b", "\xc3\xa9"}) EXPECT_FALSE(is_device_id(bad)) << bad;
  EXPECT_TRUE(is_device_id(std::string(63, 'x')));
  EXPECT_FALSE(is_device_id(std::string(64, 'x')));
}

}  // namespace
}  // namespace bitnet::backend
