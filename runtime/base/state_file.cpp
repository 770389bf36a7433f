// base/state_file.cpp - read whole, replace whole; flock on a file beside it.
#include "base/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/replace_file.h"

namespace bitnet {
namespace {

using nlohmann::json;

// One mkdir per component, so that ~/.cache may be missing too.
bool make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return true;
  const size_t slash = path.rfind('/');
  if (errno != ENOENT || slash == std::string::npos || slash == 0) return false;
  // The user's home itself is not ours to create.
  const std::string parent = path.substr(0, slash);
  if (const char* home = std::getenv("HOME"); home != nullptr && parent == home) return false;
  return make_folder(parent) && ::mkdir(path.c_str(), 0700) == 0;
}

bool is_private(const std::string& folder) {
  struct stat status {};
  return ::lstat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() &&
         (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::string cache_folder() {
  if (::getauxval(AT_SECURE) != 0) return {};
  std::string folder;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/') {
    folder = std::string(cache) + "/bitnet";
  } else if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
    folder = std::string(home) + "/.cache/bitnet";
  }
  if (folder.empty() || !make_folder(folder) || !is_private(folder)) return {};
  return folder;
}

StateFile::StateFile(const std::string& name, int version) : version_(version) {
  if (const std::string folder = cache_folder(); !folder.empty()) path_ = folder + "/" + name;
}

json StateFile::read() const {
  if (path_.empty()) return json::object();
  const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != ::geteuid() ||
      static_cast<size_t>(status.st_size) > kMaxBytes) {
    return json::object();
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t size = 0;
  for (ssize_t n; size < text.size() && (n = ::read(file.get(), text.data() + size, text.size() - size)) > 0;)
    size += static_cast<size_t>(n);
  text.resize(size);
  bool too_deep = false;
  const auto shallow = [&](int depth, json::parse_event_t, json&) {
    too_deep |= depth > 16;
    return depth <= 16;
  };
  json document = json::parse(text, shallow, false);
  if (too_deep || !document.is_object() || document.value("version", json()) != version_ || !document["content"].is_object())
    return json::object();
  return std::move(document["content"]);
}

bool StateFile::update(const std::function<void(json&)>& f) const {
  if (path_.empty()) {
    json ignored = json::object();
    f(ignored);
    return false;
  }
  const Descriptor lock(::open((path_ + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool locked = lock.get() >= 0 && ::flock(lock.get(), LOCK_EX) == 0;
  json content = read();
  f(content);
  if (!locked) return false;
  const std::string text =
      json{{"version", version_}, {"content", std::move(content)}}.dump(1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kMaxBytes) return false;
  return replace_file(path_, text, 0600);
}

}  // namespace bitnet
