// conformance/sized.h - structs of the ABI as another host would pass them: as short as they are, or longer.
#pragma once

#include <cstring>

#include "check.h"
#include "guarded.h"

namespace bitnet::conformance {

// A struct in memory that ends where it ends, or longer, with a tail of 0xA5 that has to survive.
template <class T>
class Sized {
 public:
  Sized(const char* name, size_t tail, const T& content = T{}) : memory_(name, sizeof(T) + tail, Edge::kEnd, 8) {
    std::memset(memory_.data(), 0xA5, memory_.size());
    std::memcpy(memory_.data(), &content, sizeof(T));
    get()->struct_size = static_cast<uint32_t>(memory_.size());
  }
  T* get() const { return reinterpret_cast<T*>(memory_.data()); }
  void expect_tail() const {
    for (size_t i = sizeof(T); i < memory_.size(); ++i) {
      expect(memory_.data()[i] == 0xA5, say("byte %zu of %s was written: past what the plugin knows", i, memory_.name()));
    }
  }

 private:
  GuardedBytes memory_;
};

}  // namespace bitnet::conformance
