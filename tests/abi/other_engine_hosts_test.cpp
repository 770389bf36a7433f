// abi/other_engine_hosts_test.cpp - engines under a host of the next minor version: every struct it passes is longer, tensors
// lie further apart, new fields are full of noise. What comes out is the reference engine's, bit for bit.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "abi/aged.h"
#include "bitnet/kit/reference_engine.hpp"
#include "unit/kit/toy_model.h"

namespace bitnet::test {
namespace {

using bn::kit::ReferenceModel;
using bn::kit::ReferenceSession;

template <class T>
void fill_tail(T& value) {
  std::memset(&value.future_number, kNoise, sizeof value.future_number + sizeof value.future_pointer);
}

struct Answers {
  std::vector<float> logits;
  std::vector<int32_t> tokens;
};

// Append, decode, truncate and append again, through functions with the arguments of the engine table.
template <class Append, class Decode, class Truncate>
Answers talk(const toy::Model& model, Append&& append, Decode&& decode, Truncate&& truncate) {
  const uint32_t vocabulary = model.arch.n_vocab;
  Answers answers{std::vector<float>(2 * vocabulary), std::vector<int32_t>(8)};
  Aged<bn_error> error(Host::kFuture);
  Aged<bn_call> call(Host::kFuture);
  Aged<bn_output> out(Host::kFuture);
  out->want = BN_OUT_LOGITS, out->first = 2, out->logits = answers.logits.data();
  const std::vector<int32_t> prompt = {1, 5, 9};
  EXPECT_EQ(append(prompt.data(), 3u, &out, &call, &error), BN_OK) << error->message;
  EXPECT_EQ(out->n_rows, 1u);

  Aged<bn_sampler> sampler(Host::kFuture);
  sampler->top_k = 40, sampler->temperature = 1.0f, sampler->top_p = 1.0f, sampler->seed = 7;
  Aged<bn_decode> arguments(Host::kFuture);
  arguments->max_steps = 8, arguments->sampler = &sampler, arguments->tokens = answers.tokens.data();
  EXPECT_EQ(decode(&arguments, &call, &error), BN_OK) << error->message;
  EXPECT_EQ(arguments->n_committed, 8u);

  EXPECT_EQ(truncate(5u, &error), BN_OK);
  out->first = 0, out->logits = answers.logits.data() + vocabulary;
  EXPECT_EQ(append(prompt.data(), 1u, &out, &call, &error), BN_OK) << error->message;
  EXPECT_EQ(append(prompt.data(), 0u, &out, &call, &error), BN_E_INVALID);
  EXPECT_STRNE(error->message, "");
  EXPECT_TRUE(error.tail_untouched() && out.tail_untouched() && arguments.tail_untouched());
  return answers;
}

Answers talk_to_reference(toy::Model& model) {
  std::unique_ptr<ReferenceModel> loaded;
  std::unique_ptr<ReferenceSession> session;
  const bn_model_desc desc = model.desc();
  EXPECT_EQ(ReferenceModel::load(&desc, &model.plan, nullptr, bn::kit::portable::kTable, nullptr, &loaded, nullptr), BN_OK);
  EXPECT_EQ(ReferenceSession::create(*loaded, 100, &session, nullptr), BN_OK);
  return talk(
      model, [&](auto... a) { return session->append(a...); }, [&](auto... a) { return session->decode(a...); },
      [&](auto... a) { return session->truncate(a...); });
}

class OtherEngineHosts : public testing::TestWithParam<const char*> {};

TEST_P(OtherEngineHosts, GetTheSameBitsAndKeepTheirBytes) {
  void* library = dlopen((std::string(BITNET_ABI_PLUGINS "/bn_") + GetParam() + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  const bn_plugin* plugin = reinterpret_cast<bn_entry_fn>(dlsym(library, "bitnet_plugin_v1"))(1);
  bn_device* device = nullptr;
  ASSERT_EQ(plugin->open(nullptr, "cpu", nullptr, &device, nullptr), BN_OK);
  const auto* engine = static_cast<const bn_engine_v1*>(plugin->get_interface(device, BN_ENGINE_ID));
  ASSERT_NE(engine, nullptr);

  toy::Model model;
  const Answers expected = talk_to_reference(model);
  for (bn_tensor& tensor : model.tensors) fill_tail(tensor);
  fill_tail(model.arch), fill_tail(model.plan);
  bn_model_desc desc = model.desc();
  fill_tail(desc);
  Aged<bn_call> call(Host::kFuture);
  Aged<bn_error> error(Host::kFuture);
  Aged<bn_fit> fit(Host::kFuture);
  EXPECT_EQ(engine->fit(device, &desc, &model.plan, &fit, &error), BN_OK) << error->message;
  EXPECT_TRUE(fit.tail_untouched());
  bn_model* loaded = nullptr;
  bn_session* session = nullptr;
  ASSERT_EQ(engine->load(device, &desc, &model.plan, &call, &loaded, &error), BN_OK) << error->message;
  ASSERT_EQ(engine->session_create(loaded, 100, &session, &error), BN_OK) << error->message;
  const Answers answers = talk(
      model, [&](auto... a) { return engine->append(session, a...); }, [&](auto... a) { return engine->decode(session, a...); },
      [&](auto... a) { return engine->truncate(session, a...); });
  engine->session_destroy(session);
  engine->unload(loaded);
  plugin->close(device);

  EXPECT_EQ(std::memcmp(answers.logits.data(), expected.logits.data(), 4 * expected.logits.size()), 0);
  EXPECT_EQ(answers.tokens, expected.tokens);
  EXPECT_NE(std::count(answers.tokens.begin(), answers.tokens.end(), answers.tokens[0]), 8)
      << "one token repeated shows little";
}

INSTANTIATE_TEST_SUITE_P(Plugins, OtherEngineHosts, testing::Values("engine_today", "acme_engine"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace bitnet::test
