// backend/listing.cpp - asks plugins for the weights they take, and prints what is known about them.
#include "backend/listing.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "backend/device.h"
#include "backend/layouts.h"
#include "base/error.h"

namespace bitnet::backend {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kMockMark = "mock: test backend, never chosen by itself";

struct NamedDtype {
  uint32_t dtype;
  const char* name;
};
constexpr std::array<NamedDtype, 9> kDenseDtypes = {{{BN_DT_F32, "f32"},
                                                     {BN_DT_F16, "f16"},
                                                     {BN_DT_BF16, "bf16"},
                                                     {BN_DT_I8_ROW, "i8"},
                                                     {BN_DT_Q8_0, "q8_0"},
                                                     {BN_DT_Q4_0, "q4_0"},
                                                     {BN_DT_Q4_K, "q4_K"},
                                                     {BN_DT_Q5_K, "q5_K"},
                                                     {BN_DT_Q6_K, "q6_K"}}};

// A matrix of the size that models have, without data: the question is only whether such a thing is taken.
bn_tensor question(uint32_t role, uint32_t dtype, const bn_format* format) {
  bn_tensor tensor{};
  tensor.struct_size = sizeof tensor;
  tensor.role = role;
  tensor.layer = role == BN_T_ATTN_Q ? 0 : BN_NO_LAYER;
  tensor.dtype = dtype;
  tensor.rows = tensor.cols = 2560;
  tensor.n_scales = format != nullptr ? 1 : 0;
  tensor.format = format;
  return tensor;
}

using Accepts = int32_t(BN_CALL*)(bn_device*, const bn_tensor*);

std::string answer(Accepts accepts, bn_device* device, const bn_format& format) {
  const bn_tensor tensor = question(BN_T_ATTN_Q, BN_DT_TERNARY, &format);
  switch (accepts(device, &tensor)) {
    case BN_NATIVE:
      return "native";
    case BN_PACK:
      return "pack";
    default:
      return "no";
  }
}

void ask_ternary(Accepts accepts, bn_device* device, WeightFormats& formats) {
  formats.i2s128 = answer(accepts, device, format_i2s128());
  formats.t2 = answer(accepts, device, format_t2());
}

WeightFormats ask_formats(const Plugin& plugin) {
  WeightFormats formats;
  try {
    const OpenDevice device(plugin, plugin.devices.front().id);
    if (const bn_engine_v1* engine = device.engine(); engine != nullptr && engine->accepts != nullptr) {
      ask_ternary(engine->accepts, device.handle(), formats);
      for (const NamedDtype& d : kDenseDtypes) {
        const bn_tensor tensor = question(BN_T_TOKEN_EMBD, d.dtype, nullptr);
        if (engine->accepts(device.handle(), &tensor) != BN_NO) formats.dense.emplace_back(d.name);
      }
    } else if (const bn_kernels_v1* kernels = device.kernels(); kernels != nullptr) {
      ask_ternary(kernels->accepts, device.handle(), formats);
      for (const NamedDtype& d : kDenseDtypes) {
        if (BN_HAS(kernels, dense) && kernels->dense != nullptr && (kernels->dense_dtypes >> d.dtype & 1) != 0) {
          formats.dense.emplace_back(d.name);
        }
      }
    } else if (engine == nullptr) {
      formats.problem = "offers neither kernels nor an engine";
    }
  } catch (const BackendError& error) {
    formats.problem = error.what();
  }
  return formats;
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

std::string devices_cell(const Plugin& plugin) {
  const DeviceSummary& first = plugin.devices.front();
  std::string cell = first.id == first.name ? first.id : fmt::format("{} ({})", first.id, first.name);
  if (plugin.devices.size() > 1) cell += fmt::format(" and {} more", plugin.devices.size() - 1);
  return cell;
}

std::string weights_cell(const WeightFormats& formats) {
  if (!formats.problem.empty()) return formats.problem;
  return fmt::format("i2s128 {}, t2 {}, dense {}", or_dash(formats.i2s128), or_dash(formats.t2),
                     or_dash(fmt::format("{}", fmt::join(formats.dense, " "))));
}

// Columns as wide as their widest cell, two blanks apart; the last one ragged.
template <size_t kColumns>
std::string table(const std::vector<std::array<std::string, kColumns>>& rows) {
  std::array<size_t, kColumns> width{};
  for (const auto& row : rows) {
    for (size_t c = 0; c + 1 < kColumns; ++c) width[c] = std::max(width[c], row[c].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < kColumns; ++c) line += fmt::format("{:<{}}  ", row[c], width[c]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

const char* kind_name(uint32_t kind) {
  switch (kind) {
    case BN_DEV_CPU:
      return "cpu";
    case BN_DEV_GPU:
      return "gpu";
    case BN_DEV_NPU:
      return "npu";
    case BN_DEV_TEST:
      return "test";
    default:
      return "other";
  }
}

std::string age_text(int64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 2 * 3600) return fmt::format("{} min", seconds / 60);
  return seconds < 48 * 3600 ? fmt::format("{} h", seconds / 3600) : fmt::format("{} days", seconds / (24 * 3600));
}

// When it was judged and what that took.
std::string judged_cell(const Plugin& plugin) {
  const std::string when = plugin.age ? fmt::format("judged {} ago", age_text(*plugin.age)) : "judged now";
  return fmt::format("{}, {:.1f} ms", when, plugin.milliseconds);
}

Json device_json(const DeviceSummary& device) {
  return {{"id", device.id},
          {"name", device.name},
          {"kind", kind_name(device.kind)},
          {"mem_total", device.mem_total},
          {"mem_free", device.mem_free}};
}

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json report_json(const BackendReport& report) {
  const Plugin& p = *report.plugin;
  Json out = {{"path", p.path},
              {"name", p.name},
              {"id", text_or_null(p.id)},
              {"version", text_or_null(p.version)},
              {"vendor", text_or_null(p.vendor)},
              {"kind", text_or_null(p.kind)},
              {"numerics", text_or_null(p.numerics)},
              {"tiers", p.tiers},
              {"cpu", p.cpu},
              {"mock", report.is_mock},
              {"usable", p.usable},
              {"verdict", verdict_name(p.verdict)},
              {"reason", text_or_null(p.reason)},
              {"verdict_age_seconds", p.age ? Json(*p.age) : Json()},
              {"default", report.is_default},
              {"milliseconds", p.milliseconds},
              {"devices", Json::array()},
              {"quarantined", Json::array()},
              {"formats", Json()}};
  for (const DeviceOut& out_of_use : p.quarantined) {
    out["quarantined"].push_back({{"id", out_of_use.id}, {"reason", out_of_use.reason}});
  }
  for (const DeviceSummary& device : p.devices) out["devices"].push_back(device_json(device));
  if (p.usable) {
    const WeightFormats& f = report.formats;
    out["formats"] = {{"bn.i2s128", text_or_null(f.i2s128)},
                      {"bn.t2", text_or_null(f.t2)},
                      {"dense", f.dense},
                      {"problem", text_or_null(f.problem)}};
  }
  return out;
}

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::vector<BackendReport> describe_backends(const Registry& registry) {
  std::vector<BackendReport> reports;
  for (const Plugin& plugin : registry.plugins()) {
    BackendReport& report = reports.emplace_back();
    report.plugin = &plugin;
    report.is_mock = plugin.kind == "test";
    if (plugin.usable) report.formats = ask_formats(plugin);
  }
  const Order order = order_candidates(registry.facts(), {});
  if (!order.candidates.empty()) reports[order.candidates.front().plugin].is_default = true;
  return reports;
}

std::string backends_text(const Registry& registry, const std::vector<BackendReport>& reports) {
  std::vector<std::array<std::string, 7>> rows = {{"  backend", "version", "device", "needs", "numerics", "weights", ""}};
  std::vector<std::array<std::string, 3>> files;
  std::vector<std::array<std::string, 2>> refused, quarantined;
  bool any_default = false;
  for (const BackendReport& report : reports) {
    const Plugin& p = *report.plugin;
    if (!p.usable) {
      const std::string age = p.age ? fmt::format(" (judged {} ago)", age_text(*p.age)) : "";
      refused.push_back({"  " + printable(p.path, 200), fmt::format("{}: {}{}", verdict_name(p.verdict), p.reason, age)});
      continue;
    }
    any_default |= report.is_default;
    rows.push_back({(report.is_default ? "* " : "  ") + p.name, p.version, devices_cell(p),
                    or_dash(fmt::format("{}", fmt::join(p.cpu, " "))), p.numerics, weights_cell(report.formats),
                    report.is_mock ? kMockMark : ""});
    files.push_back({"  " + p.name, judged_cell(p), printable(p.path, 200)});
    for (const DeviceOut& d : p.quarantined) quarantined.push_back({fmt::format("  {} of {}", d.id, p.name), d.reason});
  }
  std::string out = rows.size() > 1 ? table(rows) : "no usable backend plugin was found\n";
  if (any_default) out += "* is used by default\n";
  if (!files.empty()) out += "files:\n" + table(files);
  if (!quarantined.empty()) out += "devices out of use:\n" + table(quarantined);
  if (!refused.empty()) out += "not usable:\n" + table(refused);
  out += registry.directories().empty() ? "no plugin folder exists\n" : "folders searched:\n";
  for (const std::string& folder : registry.directories()) out += fmt::format("  {}\n", printable(folder, 200));
  return out;
}

std::string backends_json(const Registry& registry, const std::vector<BackendReport>& reports) {
  Json out = {{"schema", 1},
              {"default", Json()},
              {"plugins", Json::array()},
              {"directories", registry.directories()},
              {"warnings", registry.warnings()}};
  for (const BackendReport& report : reports) {
    if (report.is_default) out["default"] = report.plugin->name;
    out["plugins"].push_back(report_json(report));
  }
  return dump(out);
}

std::string devices_text(const Registry& registry) {
  std::vector<std::array<std::string, 5>> rows = {{"device", "kind", "backend", "memory", "name"}};
  for (const Plugin& plugin : registry.plugins()) {
    for (const DeviceSummary& device : plugin.devices) {
      const std::string memory =
          device.mem_total == 0 ? "host" : fmt::format("{} of {} MiB free", device.mem_free >> 20, device.mem_total >> 20);
      rows.push_back({device.id, kind_name(device.kind), plugin.name, memory, device.name});
    }
  }
  return rows.size() > 1 ? table(rows) : "no device was found\n";
}

std::string devices_json(const Registry& registry) {
  Json out = {{"schema", 1}, {"devices", Json::array()}};
  for (const Plugin& plugin : registry.plugins()) {
    for (const DeviceSummary& device : plugin.devices) {
      Json entry = device_json(device);
      entry["backend"] = plugin.name;
      out["devices"].push_back(std::move(entry));
    }
  }
  return dump(out);
}

}  // namespace bitnet::backend
