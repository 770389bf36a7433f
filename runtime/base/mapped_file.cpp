// base/mapped_file.cpp - open, check, map.
#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace bitnet {
namespace {

std::string system_error_text(int code) { return std::generic_category().message(code); }

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  int release() { return std::exchange(fd, -1); }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) fail(ErrorKind::kInvalidModel, "{}: cannot open: {}", printable(path), system_error_text(errno));
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) {
    fail(ErrorKind::kFailure, "{}: cannot read its size: {}", printable(path), system_error_text(errno));
  }
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::kInvalidModel, "{}: not a regular file", printable(path));
  size_ = static_cast<uint64_t>(status.st_size);
  if (size_ == 0) return;
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (map == MAP_FAILED) {
    const int code = errno;
    fail(code == ENOMEM ? ErrorKind::kNoMemory : ErrorKind::kFailure, "{}: cannot map {} bytes: {}", printable(path), size_,
         system_error_text(code));
  }
  data_ = static_cast<const uint8_t*>(map);
  fd_ = file.release();
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_);
  if (fd_ >= 0) ::close(fd_);
}

void MappedFile::release(const void* begin, uint64_t bytes) const {
  constexpr uint64_t kPage = 4096;
  const uint64_t offset = static_cast<uint64_t>(static_cast<const uint8_t*>(begin) - data_);
  const uint64_t first = (offset + kPage - 1) / kPage * kPage, end = (offset + bytes) / kPage * kPage;
  if (first < end) ::madvise(const_cast<uint8_t*>(data_) + first, end - first, MADV_DONTNEED);
}

void MappedFile::copy(const void* begin, uint64_t bytes, void* dst) const {
  uint64_t done = 0;
  while (done < bytes) {
    const off_t offset = static_cast<const uint8_t*>(begin) - data_ + static_cast<off_t>(done);
    const ssize_t n = ::pread(fd_, static_cast<uint8_t*>(dst) + done, bytes - done, offset);
    if (n <= 0) {  // interrupted, or an error, which the mapping meets in its own way
      std::memcpy(static_cast<uint8_t*>(dst) + done, static_cast<const uint8_t*>(begin) + done, bytes - done);
      return;
    }
    done += static_cast<uint64_t>(n);
  }
}

}  // namespace bitnet
