// kernel/guarded.h - buffers whose neighbours are unmapped pages, so that one byte read or written too far is a crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace bitnet::kernel_test {

// Which end of the buffer touches the unmapped page. The page at the other end is unmapped as well, but up to a page away;
// the bytes between (the slack) hold a pattern that slack_intact() checks.
enum class Edge { kEnd, kStart };
inline constexpr Edge kBothEdges[] = {Edge::kEnd, Edge::kStart};

// `bytes` bytes at an address that is a multiple of `align` (a power of two, at most a page).
class GuardedBytes {
 public:
  GuardedBytes(size_t bytes, Edge edge, size_t align);
  ~GuardedBytes();
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  void freeze();       // from now on a write is a crash
  void make_absent();  // from now on a read is a crash, too
  bool slack_intact() const;

 private:
  uint8_t* mapping_;  // [unmapped page][slack, data, slack: mapped_ bytes][unmapped page]
  size_t mapped_;
  uint8_t* data_;
  size_t size_;
};

// A guarded array with the given content, aligned as T and no better unless asked for.
template <class T>
class Guarded {
 public:
  Guarded(const std::vector<T>& content, Edge edge, size_t align = alignof(T))
      : bytes_(content.size() * sizeof(T), edge, align) {
    if (!content.empty()) std::memcpy(bytes_.data(), content.data(), bytes_.size());
  }
  T* data() const { return reinterpret_cast<T*>(bytes_.data()); }
  size_t size() const { return bytes_.size() / sizeof(T); }
  void freeze() { bytes_.freeze(); }
  bool slack_intact() const { return bytes_.slack_intact(); }

 private:
  GuardedBytes bytes_;
};

// An input: guarded and read-only.
template <class T>
class Input : public Guarded<T> {
 public:
  Input(const std::vector<T>& content, Edge edge, size_t align = alignof(T)) : Guarded<T>(content, edge, align) {
    this->freeze();
  }
};

}  // namespace bitnet::kernel_test
