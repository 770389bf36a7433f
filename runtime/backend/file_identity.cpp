// backend/file_identity.cpp - stat(), and the same as five numbers of JSON.
#include "backend/file_identity.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

namespace bitnet::backend {
namespace {

int64_t nanoseconds(const timespec& time) { return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec; }

}  // namespace

std::optional<FileIdentity> identity_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileIdentity{status.st_dev, status.st_ino, static_cast<uint64_t>(status.st_size), nanoseconds(status.st_mtim),
                      nanoseconds(status.st_ctim)};
}

nlohmann::json to_json(const FileIdentity& f) { return {f.device, f.inode, f.size, f.modified, f.changed}; }

FileIdentity identity_from_json(const nlohmann::json& json) {
  return {json.at(0).get<uint64_t>(), json.at(1).get<uint64_t>(), json.at(2).get<uint64_t>(), json.at(3).get<int64_t>(),
          json.at(4).get<int64_t>()};
}

}  // namespace bitnet::backend
