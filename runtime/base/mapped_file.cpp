// base/mapped_file.cpp - open, check, map.
#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace bitnet {
namespace {

std::string system_error_text(int code) { return std::generic_category().message(code); }

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
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
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_);
}

void MappedFile::release(const void* begin, uint64_t bytes) const {
  constexpr uint64_t kPage = 4096;
  const uint64_t offset = static_cast<uint64_t>(static_cast<const uint8_t*>(begin) - data_);
  const uint64_t first = (offset + kPage - 1) / kPage * kPage, end = (offset + bytes) / kPage * kPage;
  if (first < end) ::madvise(const_cast<uint8_t*>(data_) + first, end - first, MADV_DONTNEED);
}

}  // namespace bitnet
