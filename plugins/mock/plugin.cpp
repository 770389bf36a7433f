// mock/plugin.cpp - entry, manifest, the one device and its options.
#include "bitnet/kit/plugin.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bitnet/kit/portable.h"
#include "device.h"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.mock", "name": "mock", "version": "0.1.0",
 "kind": "test", "tiers": ["kernels", "engine"], "arch": ["x86_64", "aarch64"], "cpu": [], "numerics": "exact-1"})");

namespace {

using bn::kit::guard;
using bn::kit::set_error;
using bn_mock::Faults;
using bn_mock::Mode;
using bn_mock::Point;
using bn_mock::Rule;
using bn_mock::Verdict;
using nlohmann::json;

constexpr char kDeviceId[] = "mock";

std::vector<Rule> environment_rules() {
  const char* script = std::getenv("BN_MOCK_FAULTS");
  return script == nullptr ? std::vector<Rule>() : bn_mock::parse_faults(script);
}

// Runs f and turns a misunderstood script or option into BN_E_INVALID.
template <class F>
bn_status guarded(bn_error* error, F&& f) {
  return guard(error, [&]() -> bn_status {
    try {
      return f();
    } catch (const std::invalid_argument& e) {
      return set_error(error, BN_E_INVALID, "%s", e.what());
    }
  });
}

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  return guarded(error, [&]() -> bn_status {
    static std::atomic<uint64_t> calls = 0;
    Faults faults(environment_rules());
    if (const Verdict v = faults.judge(Point::kEnumerate, ++calls); v.status != BN_OK) return report(v, error);
    if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
    info->kind = BN_DEV_TEST;
    std::strcpy(info->id, kDeviceId);
    std::strcpy(info->name, "mock (test backend, no real model)");
    return BN_OK;
  });
}

const json& member(const json& options, const char* key) {
  static const json absent;
  const auto at = options.find(key);
  return at == options.end() ? absent : *at;
}

Mode read_mode(const json& options) {
  const json &mode = member(options, "mode"), &tier = member(options, "tier");
  if (!mode.is_null() && mode != "canned" && mode != "faithful") {
    throw std::invalid_argument("option mode: expected \"canned\" or \"faithful\", found " + mode.dump());
  }
  if (!tier.is_null() && tier != "kernels" && tier != "engine") {
    throw std::invalid_argument("option tier: expected \"kernels\" or \"engine\", found " + tier.dump());
  }
  if (mode == "faithful") return tier == "engine" ? Mode::kEngine : Mode::kKernels;
  if (tier == "kernels") throw std::invalid_argument("option tier: mode canned is an engine and has no kernels");
  return Mode::kCanned;
}

// Options wrap and wrap_options: which ops are behind the faults.
void choose_ops(bn_device& device, const bn_host* host, const json& options) {
  device.inner = *bn_portable_kernels();
  const json &wrap = member(options, "wrap"), &inner = member(options, "wrap_options");
  if (!wrap.is_null()) {
    if (!wrap.is_string()) throw std::invalid_argument("option wrap: expected a path, found " + wrap.dump());
    if (device.mode != Mode::kKernels) throw std::invalid_argument("option wrap: needs mode faithful and tier kernels");
    const std::string text = inner.dump();
    bn_mock::wrap_plugin(device, host, wrap.get_ref<const std::string&>().c_str(), inner.is_null() ? nullptr : text.c_str());
  }
  bn_mock::make_faithful_kernels(device);
}

std::vector<int32_t> read_tokens(const json& options) {
  const json& tokens = member(options, "tokens");
  std::vector<int32_t> ids;
  if (tokens.is_null()) return ids;
  if (!tokens.is_array()) throw std::invalid_argument("option tokens: expected an array of token ids, found " + tokens.dump());
  for (const json& id : tokens) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) {
      throw std::invalid_argument("option tokens: expected token ids >= 0, found " + id.dump());
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// The rules of the option, each of which must be able to fire in this mode, and those of the environment.
std::vector<Rule> read_rules(const json& options, Mode mode) {
  static constexpr const char* kNames[] = {"canned (engine); use token or prefill", "faithful (kernels); use token or prefill",
                                           "faithful (engine); use load"};
  const json& script = member(options, "faults");
  if (!script.is_null() && !script.is_string()) {
    throw std::invalid_argument("option faults: expected a string, found " + script.dump());
  }
  std::vector<Rule> rules;
  if (script.is_string()) rules = bn_mock::parse_faults(script.get_ref<const std::string&>());
  for (const Rule& rule : rules) {
    if (occurs_in(mode, rule.point)) continue;
    throw std::invalid_argument("fault rule '" + rule.text + "': point '" + name_of(rule.point) + "' does not occur in mode " +
                                kNames[static_cast<int>(mode)]);
  }
  for (Rule& rule : environment_rules()) rules.push_back(std::move(rule));
  return rules;
}

bn_status open(const bn_host* host, const char* device_id, const char* options_json, bn_device** out, bn_error* error) {
  return guarded(error, [&]() -> bn_status {
    if (device_id != nullptr && std::strcmp(device_id, kDeviceId) != 0) {
      return set_error(error, BN_E_INVALID, "no device '%.64s'; the only one is '%s'", device_id, kDeviceId);
    }
    const json options = options_json == nullptr ? json::object() : json::parse(options_json, nullptr, false);
    if (!options.is_object()) return set_error(error, BN_E_INVALID, "options: not a JSON object: %.160s", options_json);
    const Mode mode = read_mode(options);
    auto device = std::make_unique<bn_device>(mode, read_tokens(options), read_rules(options, mode));
    choose_ops(*device, host, options);
    static std::atomic<uint64_t> calls = 0;
    if (const Verdict v = device->faults.judge(Point::kOpen, ++calls); v.status != BN_OK) return report(v, error);
    // The kernels tier has no load of its own: opening the device is where this backend could refuse a model.
    if (mode == Mode::kKernels) {
      if (const Verdict v = device->faults.at(Point::kLoad); v.status != BN_OK) return report(v, error);
    }
    *out = device.release();
    return BN_OK;
  });
}

void close(bn_device* device) {
  guard(nullptr, [&] {
    device->faults.at(Point::kClose);
    delete device;
    return BN_OK;
  });
}

const void* get_interface(bn_device* device, const char* id) {
  const bool kernels = std::strcmp(id, BN_KERNELS_ID) == 0, engine = std::strcmp(id, BN_ENGINE_ID) == 0;
  if (kernels && device->mode == Mode::kKernels) return &device->kernels;
  if (engine && device->mode == Mode::kEngine) return bn_mock::faithful_engine();
  if (engine && device->mode == Mode::kCanned) return bn_mock::canned_engine();
  return nullptr;
}

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.mock", "0.1.0", "bitnet-run", 0, enumerate, open, close, get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
