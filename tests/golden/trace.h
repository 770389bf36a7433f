// golden/trace.h - the recorded result of every operation of a forward pass over a few tokens.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace bitnet::golden_test {

class Trace {
 public:
  // folder: holds trace.json and trace.bin. Throws std::runtime_error or an nlohmann exception.
  explicit Trace(const std::string& folder);

  uint32_t n_tokens() const { return static_cast<uint32_t>(tokens_.size()); }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  bool has(const std::string& name) const { return entries_.contains(name); }
  std::vector<std::string> names() const;

  // [tokens][width]; throw std::runtime_error for a name that is not there or of another type.
  std::span<const float> floats(const std::string& name) const;
  std::span<const int8_t> codes(const std::string& name) const;
  uint32_t width(const std::string& name) const;  // of one token

 private:
  struct Entry {
    bool is_codes = false;
    std::vector<float> floats;
    std::vector<int8_t> codes;
  };
  const Entry& entry(const std::string& name, bool is_codes) const;

  std::vector<int32_t> tokens_;
  std::map<std::string, Entry> entries_;
};

}  // namespace bitnet::golden_test
