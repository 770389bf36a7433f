// abi/aged.h - a struct of the ABI as a host of today or of the next minor version has it. For sources compiled against
// headers-future: a struct "of today" is the same without its last two fields.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bitnet::test {

constexpr int kNoise = 0xAB;
enum class Host : uint32_t { kToday = 0, kFuture = 1 };  // the value is its abi_minor

// A struct as a host of that age has it: what lies after its end is noise either way.
template <class T>
struct Aged {
  T value;
  explicit Aged(Host host) {
    std::memset(&value, 0, sizeof value);
    std::memset(tail(), kNoise, tail_bytes());
    value.struct_size = static_cast<uint32_t>(host == Host::kFuture ? sizeof(T) : sizeof(T) - tail_bytes());
  }
  T* operator->() { return &value; }
  T* operator&() { return &value; }
  char* tail() { return reinterpret_cast<char*>(&value.future_number); }
  size_t tail_bytes() const { return sizeof value.future_number + sizeof value.future_pointer; }
  // No plugin writes what its caller does not have or it does not know.
  bool tail_untouched() {
    for (size_t i = 0; i < tail_bytes(); ++i) {
      if (static_cast<unsigned char>(tail()[i]) != kNoise) return false;
    }
    return true;
  }
};

}  // namespace bitnet::test
