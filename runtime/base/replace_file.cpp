// base/replace_file.cpp - open, write, fsync, rename.
#include "base/replace_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace bitnet {
namespace {

bool write_all(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return ::fsync(fd) == 0;
}

}  // namespace

bool replace_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string aside = fmt::format("{}.{}", path, ::getpid());
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return false;
  bool kept = write_all(fd, text);
  int reason = errno;
  if (::close(fd) != 0 && kept) {
    kept = false;
    reason = errno;
  }
  if (kept && std::rename(aside.c_str(), path.c_str()) != 0) {
    kept = false;
    reason = errno;
  }
  if (!kept) {
    ::unlink(aside.c_str());
    errno = reason;
  }
  return kept;
}

}  // namespace bitnet
