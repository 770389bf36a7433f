// conformance/guarded.h - buffers whose neighbours are unmapped pages, so that one byte read or written too far is a crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace bitnet::conformance {

// Which end of the buffer touches the unmapped page. The page at the other end is unmapped as well, but up to a page away;
// the bytes between (the slack) hold a pattern that slack_intact() checks.
enum class Edge { kEnd, kStart };
inline constexpr Edge kBothEdges[] = {Edge::kEnd, Edge::kStart};
const char* name_of(Edge edge);

// `bytes` bytes at an address that is a multiple of `align` (a power of two, at most a page). Any thread.
class GuardedBytes {
 public:
  // name: a literal; what a memory fault in or near the buffer is reported as.
  GuardedBytes(const char* name, size_t bytes, Edge edge, size_t align);
  ~GuardedBytes();
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  const char* name() const { return name_; }
  void freeze();       // from now on a write is a crash
  void make_absent();  // from now on a read is a crash, too
  bool slack_intact() const;
  void expect_slack_intact() const;  // throws Failure

 private:
  const char* name_;
  uint8_t* mapping_;  // [unmapped page][slack, data, slack: mapped_ bytes][unmapped page]
  size_t mapped_;
  uint8_t* data_;
  size_t size_;
};

// Whose memory `address` is, and where in it: "4 bytes past the end of x". Empty: none's. For a signal handler.
void describe_address(const void* address, char* text, size_t bytes);

// A guarded array with the given content, aligned as T and no better unless asked for.
template <class T>
class Guarded : public GuardedBytes {
 public:
  Guarded(const char* name, const std::vector<T>& content, Edge edge, size_t align = alignof(T))
      : GuardedBytes(name, content.size() * sizeof(T), edge, align) {
    assign(content);
  }
  void assign(const std::vector<T>& content) {
    if (!content.empty()) std::memcpy(GuardedBytes::data(), content.data(), content.size() * sizeof(T));
  }
  T* data() const { return reinterpret_cast<T*>(GuardedBytes::data()); }
  size_t size() const { return GuardedBytes::size() / sizeof(T); }
};

// An input: guarded and read-only.
template <class T>
class Input : public Guarded<T> {
 public:
  Input(const char* name, const std::vector<T>& content, Edge edge, size_t align = alignof(T))
      : Guarded<T>(name, content, edge, align) {
    this->freeze();
  }
};

}  // namespace bitnet::conformance
