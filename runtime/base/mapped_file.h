// base/mapped_file.h - a regular file mapped read-only into memory.
//
// Errors  Error{kInvalidModel} when the path is not a regular file or cannot be opened, Error{kFailure} on I/O errors.
//         Opening never blocks (FIFO, device). The message names the path and the system's reason.
// Memory  nothing is copied; pages come from the page cache. The mapping is private: nobody writes through it.
// Threads const functions are safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace bitnet {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }  // null when size() is 0
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

  // Whole pages within [begin, begin + bytes), which must lie in the file, no longer count as memory of this process. They stay
  // in the page cache and come back when they are read.
  void release(const void* begin, uint64_t bytes) const;
  // Copies [begin, begin + bytes), which must lie in the file, to dst. Its pages do not become memory of this process, and
  // scattered pieces cost no page faults.
  void copy(const void* begin, uint64_t bytes, void* dst) const;

 private:
  std::string path_;
  int fd_ = -1;
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace bitnet
