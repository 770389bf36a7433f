// store/model_hash.cpp - looks the file's identity up in a state file, else hashes and notes it.
#include "store/model_hash.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/mapped_file.h"
#include "base/sha256.h"
#include "base/state_file.h"

namespace bitnet::store {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t kMaxRemembered = 256;

// Empty when the file cannot be looked at.
std::string identity_of(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) return {};
  return fmt::format("{}:{}:{}:{}.{:09}:{}.{:09}", s.st_dev, s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec,
                     s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
}

// A file changed in this moment may change again within the grain of its times.
bool is_settled(const std::string& path) {
  struct stat s {};
  return ::stat(path.c_str(), &s) == 0 && std::time(nullptr) - std::max(s.st_mtim.tv_sec, s.st_ctim.tv_sec) >= 2;
}

bool is_hash(const json& value) {
  if (!value.is_string()) return false;
  const std::string& text = value.get_ref<const std::string&>();
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

void forget_oldest(json& hashes) {
  while (hashes.size() > kMaxRemembered) {
    auto oldest = hashes.begin();
    for (auto at = hashes.begin(); at != hashes.end(); ++at) {
      const auto age = [](const json& entry) { return entry.is_object() ? entry.value("hashed_at", json(0)) : json(0); };
      if (age(*at) < age(*oldest)) oldest = at;
    }
    hashes.erase(oldest);
  }
}

std::string hash_pieces(const MappedFile& file, const std::function<void()>& on_progress) {
  constexpr uint64_t kPiece = uint64_t{16} << 20;
  Sha256 hash;
  for (uint64_t at = 0; at < file.size(); at += kPiece) {
    const uint64_t bytes = std::min(kPiece, file.size() - at);
    hash.add({file.data() + at, static_cast<size_t>(bytes)});
    file.release(file.data() + at, bytes);
    if (on_progress) on_progress();
  }
  return hash.hex();
}

std::string file_sha256(const std::string& path, const std::function<void()>& on_progress) {
  const StateFile state("model_hashes.json", 1);
  const std::string identity = identity_of(path);
  const json known = state.read();
  if (const auto at = known.find(identity); at != known.end() && at->is_object() && is_hash(at->value("sha256", json()))) {
    return at->value("sha256", "");
  }
  const MappedFile file(path);
  std::string hash = hash_pieces(file, on_progress);
  if (!identity.empty() && identity == identity_of(path) && is_settled(path)) {
    state.update([&](json& hashes) {
      hashes[identity] = {{"sha256", hash}, {"hashed_at", static_cast<int64_t>(std::time(nullptr))}};
      forget_oldest(hashes);
    });
  }
  return hash;
}

// The files of a checkpoint that decide what it computes.
std::vector<std::string> checkpoint_files(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == "config.json" || name.ends_with(".safetensors")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string model_sha256(const std::string& path, const std::function<void()>& on_progress) {
  const bool is_folder = fs::is_directory(path);
  if (!is_folder && !path.ends_with(".json") && !path.ends_with(".safetensors")) return file_sha256(path, on_progress);
  const fs::path folder = is_folder ? fs::path(path) : fs::absolute(path).parent_path();
  std::string lines;
  for (const std::string& name : checkpoint_files(folder)) {
    lines += fmt::format("{}  {}\n", file_sha256((folder / name).string(), on_progress), name);
  }
  return sha256_hex({reinterpret_cast<const uint8_t*>(lines.data()), lines.size()});
}

}  // namespace bitnet::store
