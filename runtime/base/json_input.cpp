// base/json_input.cpp - nlohmann's parser with limits.
#include "base/json_input.h"

#include <unordered_set>
#include <vector>

namespace bitnet {
namespace {

using nlohmann::json;

// Watches a document as it is read.
class Watch {
 public:
  explicit Watch(const JsonSource& source) : source_(source) {}

  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    if (depth > source_.max_depth) {
      fail(source_.error, "{}: nested deeper than {}", printable(source_.label, 4096), source_.max_depth);
    }
    if (event == json::parse_event_t::object_start) keys_.emplace_back();
    if (event == json::parse_event_t::object_end) keys_.pop_back();
    if (event == json::parse_event_t::key && !keys_.back().insert(parsed.get_ref<const std::string&>()).second) {
      fail(source_.error, "{}: the key \"{}\" stands twice in one object", printable(source_.label, 4096),
           printable(parsed.get_ref<const std::string&>()));
    }
    return true;
  }

 private:
  const JsonSource& source_;
  std::vector<std::unordered_set<std::string>> keys_;  // of the objects around the place that is read
};

}  // namespace

json parse_json(std::string_view text, const JsonSource& source) {
  if (text.size() > source.max_bytes) {
    fail(source.error, "{}: {} bytes of JSON, expected at most {}", printable(source.label, 4096), text.size(),
         source.max_bytes);
  }
  Watch watch(source);
  try {
    return json::parse(text, [&](int depth, json::parse_event_t event, json& parsed) { return watch(depth, event, parsed); });
  } catch (const json::exception& e) {
    fail(source.error, "{}: not valid JSON: {}", printable(source.label, 4096), printable(e.what(), 200));
  }
}

}  // namespace bitnet
