// cli/logits_file.h - --logits-out: raw little-endian float32 [T, n_vocab], one row per processed token.
//
// Rows go to a temporary file beside the target, which takes its name in finish(); otherwise nothing stays behind.
// Errors  Error{kFailure} naming the path and the system's reason.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace bitnet::cli {

class LogitsFile {
 public:
  LogitsFile(const std::string& path, uint32_t n_vocab);
  ~LogitsFile();
  LogitsFile(const LogitsFile&) = delete;
  LogitsFile& operator=(const LogitsFile&) = delete;

  void write(const float* rows, uint32_t count);
  void finish();

 private:
  [[noreturn]] void fail_with_reason(const char* what);

  std::string path_, temporary_;
  uint32_t n_vocab_;
  std::FILE* file_ = nullptr;
};

}  // namespace bitnet::cli
