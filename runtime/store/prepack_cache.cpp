// store/prepack_cache.cpp - names, room, temporary files, and a line for everything that did not work.
#include "store/prepack_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/state_file.h"
#include "store/model_hash.h"

namespace bitnet::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEnding = ".prepack";
constexpr const char* kTemporaryStart = ".tmp-";

std::string system_text(int code) { return std::generic_category().message(code); }

// The folder, made when it is missing; empty when there is none that only this user can change.
std::string prepack_folder() {
  const std::string parent = cache_folder();
  if (parent.empty()) return {};
  const std::string folder = parent + "/prepack";
  struct stat s {};
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return {};
  const bool ours = ::lstat(folder.c_str(), &s) == 0 && S_ISDIR(s.st_mode) && s.st_uid == ::geteuid() &&
                    (s.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  return ours ? folder : std::string();
}

// A write beyond the process's file size limit is an error here, not the end of the program.
class NoFileSizeSignal {
 public:
  NoFileSizeSignal() {
    ::sigemptyset(&set_);
    ::sigaddset(&set_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~NoFileSizeSignal() {
    const timespec now{};
    ::sigtimedwait(&set_, nullptr, &now);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoFileSizeSignal(const NoFileSizeSignal&) = delete;
  NoFileSizeSignal& operator=(const NoFileSizeSignal&) = delete;

 private:
  sigset_t set_{}, before_{};
};

// A temporary file is locked as long as its writer lives.
void remove_orphan(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
  ::close(fd);
}

struct KeptFile {
  fs::path path;
  uint64_t bytes;
  timespec used;
};

// Removes what killed writers left, and lists the files kept, longest unused first.
std::vector<KeptFile> tidy(const std::string& folder) {
  std::vector<KeptFile> files;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    struct stat s {};
    if (name.starts_with(kTemporaryStart)) {
      remove_orphan(at->path());
    } else if (name.ends_with(kEnding) && ::lstat(at->path().c_str(), &s) == 0) {
      files.push_back({at->path(), static_cast<uint64_t>(s.st_size), s.st_mtim});
    }
  }
  std::sort(files.begin(), files.end(), [](const KeptFile& a, const KeptFile& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  return files;
}

// Empty, or why a file of that size has no place.
std::string make_room(const std::string& folder, const std::string& path, uint64_t bytes, uint64_t max_bytes) {
  std::vector<KeptFile> files = tidy(folder);
  if (bytes > max_bytes) return fmt::format("{} MB, and the cache holds {} MB at most", bytes >> 20, max_bytes >> 20);
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) return system_text(errno);
  const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (free < bytes || free - bytes < bytes / 20)
    return fmt::format("needs {} MB and 5 %, {} MB are free", bytes >> 20, free >> 20);
  uint64_t total = bytes;
  for (const KeptFile& file : files) total += file.path == path ? 0 : file.bytes;
  for (const KeptFile& file : files) {
    if (total <= max_bytes) break;
    if (file.path == path || ::unlink(file.path.c_str()) != 0) continue;
    total -= file.bytes;
    log(LogLevel::kInfo, "prepack cache: {} removed to make room", printable(file.path.string()));
  }
  return total <= max_bytes ? std::string() : "no room: old files cannot be removed";
}

void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

PrepackCache::PrepackCache(std::string model_path, std::string plugin_id, std::string plugin_version, PrepackLimits limits,
                           std::function<void()> on_progress)
    : folder_(prepack_folder()),
      model_path_(std::move(model_path)),
      plugin_id_(std::move(plugin_id)),
      plugin_version_(std::move(plugin_version)),
      limits_(limits),
      on_progress_(std::move(on_progress)) {
  if (folder_.empty()) log(LogLevel::kInfo, "prepack cache: not used, there is no private folder for it");
}

PrepackKey PrepackCache::key(const std::string& layout) {
  if (model_sha256_.empty()) model_sha256_ = model_sha256(model_path_, on_progress_);
  return {model_sha256_, layout, plugin_id_, plugin_version_};
}

std::string PrepackCache::path(const PrepackKey& key) const { return folder_ + "/" + key.hash().substr(0, 40) + kEnding; }

std::unique_ptr<PrepackFile> PrepackCache::find(const std::string& layout, std::span<const PieceShape> shapes) {
  if (folder_.empty()) return nullptr;
  const PrepackKey k = key(layout);
  auto opened = PrepackFile::open(path(k), k, shapes);
  if (auto* file = std::get_if<std::unique_ptr<PrepackFile>>(&opened)) {
    log(LogLevel::kInfo, "prepack cache: {}", printable(path(k)));
    return std::move(*file);
  }
  if (const std::string& why = std::get<std::string>(opened); !why.empty()) discard(layout, why);
  return nullptr;
}

bool PrepackCache::keep(const std::string& layout, std::span<const PieceShape> shapes, std::span<const void* const> data) {
  if (folder_.empty()) return false;
  const PrepackKey k = key(layout);
  const std::string target = path(k),
                    temporary = fmt::format("{}/{}{}-{}", folder_, kTemporaryStart, ::getpid(), k.hash().substr(0, 8));
  std::string fault = make_room(folder_, target, prepack_file_bytes(shapes), limits_.max_bytes);
  if (fault.empty()) {
    const NoFileSizeSignal no_signal;
    const int fd = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
      fault = system_text(errno);
    } else {
      ::flock(fd, LOCK_EX | LOCK_NB);
      fault = write_prepack_file(fd, k, shapes, data);
      if (fault.empty() && ::rename(temporary.c_str(), target.c_str()) != 0) fault = system_text(errno);
      if (!fault.empty()) ::unlink(temporary.c_str());
      ::close(fd);
    }
  }
  if (!fault.empty()) {
    log(LogLevel::kInfo, "prepack cache: {} not kept: {}", printable(target), fault);
    return false;
  }
  sync_folder(folder_);
  log(LogLevel::kInfo, "prepack cache: {} written, {} MB", printable(target), prepack_file_bytes(shapes) >> 20);
  return true;
}

void PrepackCache::discard(const std::string& layout, const std::string& why) {
  if (folder_.empty()) return;
  const std::string file = path(key(layout));
  ::unlink(file.c_str());
  log(LogLevel::kInfo, "prepack cache: {} is not used and removed: {}", printable(file), why);
}

}  // namespace bitnet::store
