// store/prepack_file.h - the format of a file with packed weights: header, table of pieces, pieces.
//
// Layout  Header (512 bytes), then n_pieces PieceRecords, then the pieces, each at a multiple of 4096 bytes. All numbers are
//         little-endian, as on every machine this runs on. The checksum is over header and table with its own field zero.
// Trust   a file is used only when it is a regular file of this user that nobody else may write, has exactly the size its
//         header says, the checksum fits, and it says what was asked for. The pieces themselves have no checksum: whoever maps
//         them compares rows (model/packed_rows.h).
// Errors  open() tells why in a sentence; write() answers a system error text. Neither throws for what is on the disk.
// Threads any.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace bitnet::store {

// What one packed matrix is: enough to refuse a file of another model or packer.
struct PieceShape {
  uint32_t rows = 0, cols = 0;
  uint64_t bytes = 0;
};

// What a file is for. Texts longer than the header's fields are cut by hashing: see prepack_cache.cpp.
struct PrepackKey {
  std::string model_sha256;  // 64 hex digits
  std::string layout;        // 32 hex digits: fingerprint of the packed bytes of a canonical matrix
  std::string plugin;        // id
  std::string plugin_version;

  std::string hash() const;  // 64 hex digits, of all of it and of the format's version
};

class PrepackFile {
 public:
  // The file mapped read-only, or why it cannot be used; an empty reason: there is no such file.
  static std::variant<std::unique_ptr<PrepackFile>, std::string> open(const std::string& path, const PrepackKey& key,
                                                                      std::span<const PieceShape> shapes);
  ~PrepackFile();
  PrepackFile(const PrepackFile&) = delete;
  PrepackFile& operator=(const PrepackFile&) = delete;

  // 4096-byte aligned.
  std::span<const uint8_t> piece(size_t i) const { return pieces_[i]; }

 private:
  PrepackFile(const uint8_t* map, uint64_t bytes) : map_(map), bytes_(bytes) {}

  const uint8_t* map_;
  uint64_t bytes_;
  std::vector<std::span<const uint8_t>> pieces_;
};

// Size of the file that holds these pieces.
uint64_t prepack_file_bytes(std::span<const PieceShape> shapes);

// Writes a whole file through fd, which is empty, and syncs it. Empty, or why it failed.
std::string write_prepack_file(int fd, const PrepackKey& key, std::span<const PieceShape> shapes,
                               std::span<const void* const> data);

}  // namespace bitnet::store
