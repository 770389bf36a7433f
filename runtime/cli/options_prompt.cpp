// cli/options_prompt.cpp - the bytes of a prompt from its file or from standard input.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/error.h"
#include "cli/options.h"

namespace bitnet::cli {
namespace {

// Reads to the end, but never more than one byte beyond the limit: a device may have no end.
std::string read_all(int file, const std::string& name) {
  std::string out;
  size_t size = 0;
  for (;;) {
    const size_t step = std::clamp<size_t>(size, size_t{64} << 10, size_t{4} << 20);
    out.resize(std::min(size + step, kMaxPromptBytes + 1));
    const ssize_t n = ::read(file, out.data() + size, out.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorKind::kUsage, "prompt from {}: {}", name, std::strerror(errno));
    size += static_cast<size_t>(n);
    if (size > kMaxPromptBytes) {
      fail(ErrorKind::kUsage, "prompt from {}: expected at most {} bytes, found more", name, kMaxPromptBytes);
    }
    if (n == 0) break;
  }
  out.resize(size);
  return out;
}

void refuse_utf16(std::string_view text, const std::string& name) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    fail(ErrorKind::kUsage, "prompt from {}: expected UTF-8, found the byte order mark of UTF-16 at byte 0; convert the file",
         name);
  }
}

std::string read_file(const std::string& path) {
  const std::string name = printable(path);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(ErrorKind::kUsage, "prompt from {}: {}", name, std::strerror(errno));
  struct Closer {
    int file;
    ~Closer() { ::close(file); }
  } closer{file};
  struct stat status {};
  if (::fstat(file, &status) != 0) fail(ErrorKind::kUsage, "prompt from {}: {}", name, std::strerror(errno));
  if (S_ISDIR(status.st_mode)) fail(ErrorKind::kUsage, "prompt from {}: expected a file, found a folder", name);
  if (S_ISREG(status.st_mode) && static_cast<uint64_t>(status.st_size) > kMaxPromptBytes) {
    fail(ErrorKind::kUsage, "prompt from {}: expected at most {} bytes, found {}", name, kMaxPromptBytes, status.st_size);
  }
  return read_all(file, name);
}

}  // namespace

std::string read_prompt(const Prompt& prompt) {
  if (prompt.from == PromptFrom::kText) return prompt.text;
  const bool from_file = prompt.from == PromptFrom::kFile;
  if (!from_file && prompt.from != PromptFrom::kStdin) throw std::logic_error("this prompt has no text");
  const std::string text = from_file ? read_file(prompt.text) : read_all(STDIN_FILENO, "standard input");
  refuse_utf16(text, from_file ? printable(prompt.text) : "standard input");
  return text;
}

}  // namespace bitnet::cli
