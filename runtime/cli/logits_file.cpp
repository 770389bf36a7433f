// cli/logits_file.cpp - write aside, then rename.
#include "cli/logits_file.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace bitnet::cli {

LogitsFile::LogitsFile(const std::string& path, uint32_t n_vocab)
    : path_(path), temporary_(fmt::format("{}.{}.partial", path, ::getpid())), n_vocab_(n_vocab) {
  file_ = std::fopen(temporary_.c_str(), "wbx");
  if (file_ == nullptr) fail_with_reason("cannot create");
}

LogitsFile::~LogitsFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::remove(temporary_.c_str());
}

void LogitsFile::fail_with_reason(const char* what) {
  fail(ErrorKind::kFailure, "--logits-out {}: {}: {}", printable(path_), what, std::generic_category().message(errno));
}

void LogitsFile::write(const float* rows, uint32_t count) {
  const size_t n = static_cast<size_t>(count) * n_vocab_;
  if (std::fwrite(rows, sizeof(float), n, file_) != n) fail_with_reason("cannot write");
}

void LogitsFile::finish() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) fail_with_reason("cannot write");
  std::FILE* file = file_;
  file_ = nullptr;
  if (std::fclose(file) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int code = errno;
    std::remove(temporary_.c_str());
    errno = code;
    fail_with_reason("cannot write");
  }
}

}  // namespace bitnet::cli
