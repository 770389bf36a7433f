// golden/trace.cpp - trace.json says what lies where in trace.bin.
#include "golden/trace.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "support/files.h"

namespace bitnet::golden_test {
namespace {

template <class T>
std::vector<T> values_at(const std::string& bytes, size_t offset, size_t count) {
  if (offset + count * sizeof(T) > bytes.size()) throw std::runtime_error("trace.bin is too short");
  std::vector<T> values(count);
  std::memcpy(values.data(), bytes.data() + offset, count * sizeof(T));
  return values;
}

}  // namespace

Trace::Trace(const std::string& folder) {
  const nlohmann::json j = nlohmann::json::parse(test::read_text(folder + "/trace.json"));
  const std::string bytes = test::read_text(folder + "/trace.bin");
  tokens_ = j.at("tokens").get<std::vector<int32_t>>();
  for (const nlohmann::json& op : j.at("ops")) {
    const std::string name = op.at("name"), type = op.at("type");
    size_t count = 1;
    for (size_t extent : op.at("shape")) count *= extent;
    if (op.at("shape").at(0) != tokens_.size()) throw std::runtime_error(folder + ": " + name + " is not [tokens, ...]");
    Entry& e = entries_[name];
    e.is_codes = type == "i8";
    if (e.is_codes)
      e.codes = values_at<int8_t>(bytes, op.at("offset"), count);
    else if (type == "f32")
      e.floats = values_at<float>(bytes, op.at("offset"), count);
    else
      throw std::runtime_error(folder + ": " + name + " has unknown type " + type);
  }
}

std::vector<std::string> Trace::names() const {
  std::vector<std::string> list;
  for (const auto& [name, unused] : entries_) list.push_back(name);
  return list;
}

const Trace::Entry& Trace::entry(const std::string& name, bool is_codes) const {
  const auto at = entries_.find(name);
  if (at == entries_.end() || at->second.is_codes != is_codes) throw std::runtime_error("the trace has no such entry: " + name);
  return at->second;
}

std::span<const float> Trace::floats(const std::string& name) const { return entry(name, false).floats; }
std::span<const int8_t> Trace::codes(const std::string& name) const { return entry(name, true).codes; }
uint32_t Trace::width(const std::string& name) const {
  const auto at = entries_.find(name);
  if (at == entries_.end()) throw std::runtime_error("the trace has no such entry: " + name);
  return static_cast<uint32_t>((at->second.is_codes ? at->second.codes.size() : at->second.floats.size()) / tokens_.size());
}

}  // namespace bitnet::golden_test
