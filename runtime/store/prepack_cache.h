// store/prepack_cache.h - packed weights of one model for one plugin, kept on disk: the second start maps what the first made.
//
// Folder  cache_folder()/prepack, mode 0700; one file per (model, plugin, version, layout), named by the hash of its key.
// Safety  a file is written to a temporary name under a lock, synced and renamed: readers see all of it or nothing, two writers
//         leave one of two equal files, a killed writer leaves a temporary file that the next writer removes.
// Room    files are removed, longest unused first, until all together take at most Limits::max_bytes; a file is only written
//         when the disk has its size and 5 % free.
// Errors  none: whatever goes wrong only means no cache, with one line at --verbose.
// Threads one at a time; processes any.
// Source  plugins.md, section 6.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "store/prepack_file.h"

namespace bitnet::store {

struct PrepackLimits {
  uint64_t max_bytes = uint64_t{16} << 30;  // of all files together
};

class PrepackCache {
 public:
  // The model file is hashed when it is first needed, at most once; meanwhile on_progress is called, where there is one.
  PrepackCache(std::string model_path, std::string plugin_id, std::string plugin_version, PrepackLimits limits = {},
               std::function<void()> on_progress = {});

  bool is_there() const { return !folder_.empty(); }
  // The file for this layout with exactly these pieces; null when there is none. A damaged one is removed.
  std::unique_ptr<PrepackFile> find(const std::string& layout, std::span<const PieceShape> shapes);
  // Writes the file; data[i] has shapes[i].bytes bytes. Returns whether it is there now.
  bool keep(const std::string& layout, std::span<const PieceShape> shapes, std::span<const void* const> data);
  // Removes the file: its content turned out to be wrong. why: for the log.
  void discard(const std::string& layout, const std::string& why);

 private:
  PrepackKey key(const std::string& layout);
  std::string path(const PrepackKey& key) const;

  std::string folder_;  // empty: no cache
  std::string model_path_, model_sha256_, plugin_id_, plugin_version_;
  PrepackLimits limits_;
  std::function<void()> on_progress_;
};

}  // namespace bitnet::store
