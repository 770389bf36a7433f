// golden/trace_test.cpp - the operations of every model, one by one, against what the reference recorded.
#include <gtest/gtest.h>

#include <iostream>

#include "backend/registry.h"
#include "golden/model_run.h"
#include "golden/reference.h"
#include "golden/trace_replay.h"

namespace bitnet::golden_test {
namespace {

using Parameter = std::tuple<std::string, std::string>;  // backend, case
using Operations = BackendTest<Parameter>;

TEST_P(Operations, GiveTheRecordedResults) {
  const std::string& name = std::get<1>(GetParam());
  const std::string folder = data_path(name == kStory ? "story" : "families/" + name);
  const Trace trace(folder);
  const std::string path = name == kStory ? BITNET_STORY_MODEL : folder + "/model.gguf";
  const std::vector<std::string> reading = reading_options(path);  // at most a kernel configuration
  const model::Model model(path, {.kernel_config = reading.empty() ? "" : reading.at(1)});
  backend::DiscoveryOptions options;
  options.program_path = BITNET_RUN;
  const backend::Registry registry = backend::Registry::discover(options);
  const backend::Plugin* plugin = registry.find(backend());
  ASSERT_NE(plugin, nullptr) << "no plugin " << backend();
  ASSERT_TRUE(plugin->usable) << plugin->reason;

  TraceReplay replay(model, trace, *plugin);
  replay.run();
  for (const std::string& failure : replay.failures()) ADD_FAILURE() << failure;
  for (const std::string& op : trace.names()) EXPECT_TRUE(replay.checked().contains(op)) << op << " was not checked";
  std::cout << replay.checked().size() << " results checked, worst " << replay.worst_ulps() << " ulp (" << replay.worst_name()
            << ")\n";
}

INSTANTIATE_TEST_SUITE_P(Models, Operations, testing::Combine(testing::ValuesIn(backends()), testing::ValuesIn(case_names())),
                         parameter_name<Parameter>);
INSTANTIATE_TEST_SUITE_P(EmbeddingModels, Operations,
                         testing::Combine(testing::ValuesIn(backends()), testing::ValuesIn(embedding_names())),
                         parameter_name<Parameter>);

}  // namespace
}  // namespace bitnet::golden_test
