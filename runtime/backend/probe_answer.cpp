// backend/probe_answer.cpp - the answer to JSON and back, every field checked on the way back.
#include "backend/probe_answer.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace bitnet::backend {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 3> kStages = {"open", "entry", "enumerate"};
constexpr int kMaxDepth = 8;
constexpr size_t kMaxText = 600;

[[noreturn]] void refuse_answer(std::string_view what) {
  fail(ErrorKind::kNoBackend, "its probe gave an answer that cannot be read: {}", what);
}

json parse_bounded(std::string_view text) {
  bool too_deep = false;
  const auto limit_depth = [&](int depth, json::parse_event_t, json&) {
    too_deep |= depth > kMaxDepth;
    return !too_deep;
  };
  json parsed = json::parse(text, limit_depth, false);
  if (too_deep || !parsed.is_object()) refuse_answer("not a JSON object");
  return parsed;
}

ProbeAnswer checked_answer(const json& object) {
  ProbeAnswer answer;
  if (object.at("schema") != 1) refuse_answer("another schema");
  answer.ok = object.at("ok").get<bool>();
  if (!answer.ok) {
    answer.reason = printable_once(object.at("reason"));
    if (answer.reason.empty()) refuse_answer("no reason");
    return answer;
  }
  answer.vendor = printable_once(object.at("vendor"));
  answer.devices = devices_from_json(object.at("devices"));
  const json& libraries = object.at("libraries");
  if (!libraries.is_array() || libraries.size() > kMaxLibraries) refuse_answer("a strange list of libraries");
  for (const json& library : libraries) answer.libraries.push_back(library.get<std::string>());
  return answer;
}

}  // namespace

std::string_view stage_name(LoadStage stage) { return kStages[static_cast<size_t>(stage)]; }

std::optional<LoadStage> stage_from_name(std::string_view name) {
  for (size_t i = 0; i < kStages.size(); ++i) {
    if (kStages[i] == name) return static_cast<LoadStage>(i);
  }
  return std::nullopt;
}

std::string printable_once(const json& value) {
  const auto& text = value.get_ref<const json::string_t&>();
  const bool plain = std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; });
  return plain && text.size() <= kMaxText ? text : printable(text, kMaxText);
}

json devices_to_json(const std::vector<DeviceSummary>& devices) {
  json list = json::array();
  for (const DeviceSummary& d : devices) {
    list.push_back({{"id", d.id}, {"name", d.name}, {"kind", d.kind}, {"mem_total", d.mem_total}, {"mem_free", d.mem_free}});
  }
  return list;
}

std::vector<DeviceSummary> devices_from_json(const json& list) {
  if (!list.is_array() || list.empty() || list.size() > kMaxDevices) refuse_answer("no list of 1 to 64 devices");
  std::vector<DeviceSummary> devices;
  for (const json& d : list) {
    devices.push_back({d.at("kind").get<uint32_t>(), d.at("id").get<std::string>(), printable_once(d.at("name")),
                       d.at("mem_total").get<uint64_t>(), d.at("mem_free").get<uint64_t>()});
    if (!is_device_id(devices.back().id)) refuse_answer("a bad device id");
  }
  return devices;
}

std::string write_answer(const ProbeAnswer& answer) {
  json object = {{"schema", 1}, {"ok", answer.ok}};
  if (answer.ok) {
    object["vendor"] = answer.vendor;
    object["devices"] = devices_to_json(answer.devices);
    object["libraries"] = answer.libraries;
  } else {
    object["reason"] = answer.reason;
  }
  return object.dump(-1, ' ', true, json::error_handler_t::replace);
}

ProbeAnswer read_answer(std::string_view text) {
  if (text.size() > kMaxAnswerBytes) refuse_answer("too long");
  try {
    return checked_answer(parse_bounded(text));
  } catch (const json::exception&) {
    refuse_answer("a field is missing or of another type");
  }
}

}  // namespace bitnet::backend
