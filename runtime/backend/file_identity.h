// backend/file_identity.h - which file it is that something was found out about: another one under its path differs here.
//
// Threads  pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace bitnet::backend {

struct FileIdentity {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified = 0, changed = 0;  // ns since 1970: of its content; of its content, owner, mode or links

  bool operator==(const FileIdentity&) const = default;
};

// Of the file a path leads to; nothing when there is none.
std::optional<FileIdentity> identity_of(const std::string& path);

nlohmann::json to_json(const FileIdentity& identity);
// Throws nlohmann::json::exception when it is not what to_json() wrote.
FileIdentity identity_from_json(const nlohmann::json& json);

}  // namespace bitnet::backend
