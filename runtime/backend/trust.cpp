// backend/trust.cpp - walks a path part by part, as the system does, and looks at each part before stepping on.
#include "backend/trust.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace bitnet::backend {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxLinks = 40;  // as the system's own limit

std::string reason_of(int code) { return std::generic_category().message(code); }

void check_owner(const struct stat& status, const std::string& what) {
  if (status.st_uid == 0 || status.st_uid == ::geteuid()) return;
  fail(ErrorKind::kNoBackend, "{} belongs to user {}, neither to root nor to you (--allow-unsafe-plugins accepts it)", what,
       status.st_uid);
}

void check_unwritable(const struct stat& status, const std::string& what) {
  if (S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0) return;
  const bool private_group = status.st_gid == status.st_uid && status.st_uid == ::geteuid();
  const bool by_group = (status.st_mode & S_IWGRP) != 0 && !private_group;
  if (!by_group && (status.st_mode & S_IWOTH) == 0) return;
  fail(ErrorKind::kNoBackend, "{} can be changed by others (mode {:o}); chmod go-w it, or --allow-unsafe-plugins", what,
       status.st_mode & 07777u);
}

// Whether `folder` is `beneath` or lies above it.
bool leads_to(std::string_view folder, std::string_view beneath) {
  if (folder == "/") return !beneath.empty();
  return beneath.starts_with(folder) && (beneath.size() == folder.size() || beneath[folder.size()] == '/');
}

std::string target_of(const std::string& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (error) fail(ErrorKind::kNoBackend, "cannot read the link {}: {}", printable(link), error.message());
  return target.string();
}

class Walk {
 public:
  Walk(const std::string& path, const std::string& beneath) : beneath_(beneath) { push(path); }

  void run() {
    look_at("/");
    while (!ahead_.empty()) {
      const std::string part = std::move(ahead_.back());
      ahead_.pop_back();
      if (part == "..") {
        here_ = fs::path(here_).parent_path().string();
      } else {
        step(here_ == "/" ? "/" + part : here_ + "/" + part);
      }
    }
  }

 private:
  // The parts of a path, to be taken before those that are still ahead.
  void push(const std::string& path) {
    std::vector<std::string> parts;
    for (const fs::path& part : fs::path(path)) {
      if (!part.empty() && part != "/" && part != ".") parts.push_back(part.string());
    }
    ahead_.insert(ahead_.end(), parts.rbegin(), parts.rend());
  }

  void step(const std::string& next) {
    const struct stat status = look_at(next);
    if (!S_ISLNK(status.st_mode)) {
      here_ = next;
      return;
    }
    if (++links_ > kMaxLinks) fail(ErrorKind::kNoBackend, "cannot open it: {}", reason_of(ELOOP));
    const std::string target = target_of(next);
    if (target.starts_with('/')) here_ = "/";
    push(target);
  }

  struct stat look_at(const std::string& path) const {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
      fail(ErrorKind::kNoBackend, "cannot read the permissions of {}: {}", printable(path), reason_of(errno));
    }
    const bool folder = S_ISDIR(status.st_mode);
    if (folder && leads_to(path, beneath_)) return status;
    const std::string what = folder                    ? fmt::format("its folder {}", printable(path))
                             : S_ISLNK(status.st_mode) ? fmt::format("the link {}", printable(path))
                                                       : "the file";
    check_owner(status, what);
    if (!S_ISLNK(status.st_mode)) check_unwritable(status, what);
    return status;
  }

  std::string beneath_;
  std::string here_ = "/";
  std::vector<std::string> ahead_;  // the next part last
  int links_ = 0;
};

}  // namespace

std::string resolve_plugin_file(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) fail(ErrorKind::kNoBackend, "cannot open it: {}", error.message());
  const fs::file_status status = fs::status(real, error);
  if (fs::is_directory(status)) fail(ErrorKind::kNoBackend, "it is a folder, not a file");
  if (!fs::is_regular_file(status)) fail(ErrorKind::kNoBackend, "it is not a regular file");
  return real.string();
}

void check_trusted(const std::string& path, const std::string& beneath) {
  resolve_plugin_file(path);
  Walk(path, beneath).run();
}

}  // namespace bitnet::backend
