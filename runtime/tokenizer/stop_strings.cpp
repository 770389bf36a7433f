// tokenizer/stop_strings.cpp - one Knuth-Morris-Pratt automaton per stop string, all fed with the same bytes.
#include "tokenizer/stop_strings.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace bitnet {

StopMatcher::StopMatcher(std::vector<std::string> stops) {
  for (std::string& text : stops) {
    if (text.empty()) fail(ErrorKind::kUsage, "stop string {} is empty; a stop string needs at least one byte", stops_.size());
    std::vector<size_t> border(text.size(), 0);
    for (size_t i = 1; i < text.size(); ++i) {
      size_t length = border[i - 1];
      while (length > 0 && text[length] != text[i]) length = border[length - 1];
      border[i] = text[length] == text[i] ? length + 1 : 0;
    }
    stops_.push_back({std::move(text), std::move(border), 0});
  }
}

void StopMatcher::advance(Stop& stop, char byte) {
  while (stop.matched > 0 && stop.text[stop.matched] != byte) stop.matched = stop.border[stop.matched - 1];
  if (stop.text[stop.matched] == byte) ++stop.matched;
}

std::string_view StopMatcher::held(size_t bytes) const {
  return held_bytes_ == 0 ? std::string_view() : std::string_view(stops_[held_stop_].text).substr(0, bytes);
}

std::string StopMatcher::feed(std::string_view text) {
  if (stopped()) return {};
  size_t taken = 0;            // bytes of text read
  size_t keep = held_bytes_;   // bytes not to be released: the longest beginning of a stop string at the end
  size_t keeper = held_stop_;  // the stop string that begins so
  while (taken < text.size() && !stopped()) {
    const char byte = text[taken++];
    keep = 0;
    for (size_t i = 0; i < stops_.size(); ++i) {
      Stop& stop = stops_[i];
      advance(stop, byte);
      const bool whole = stop.matched == stop.text.size();
      if (whole && (!stopped() || stop.text.size() > stops_[*stopped_by_].text.size())) stopped_by_ = i;
      if (stop.matched > keep) keep = stop.matched, keeper = i;
    }
  }
  const size_t dropped = stopped() ? stops_[*stopped_by_].text.size() : keep;
  const size_t released = held_bytes_ + taken - dropped;
  std::string out(held(std::min(released, held_bytes_)));
  if (released > held_bytes_) out.append(text.substr(0, released - held_bytes_));
  held_stop_ = keeper;
  held_bytes_ = stopped() ? 0 : keep;
  return out;
}

std::string StopMatcher::flush() {
  std::string out(held(held_bytes_));
  held_bytes_ = 0;
  for (Stop& stop : stops_) stop.matched = 0;
  return out;
}

}  // namespace bitnet
