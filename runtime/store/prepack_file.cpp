// store/prepack_file.cpp - every field is checked before anything is believed.
#include "store/prepack_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>

#include "base/error.h"
#include "base/sha256.h"

namespace bitnet::store {
namespace {

constexpr char kMagic[8] = {'B', 'N', 'P', 'R', 'E', 'P', 'K', '\n'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kAlign = 4096;
constexpr uint64_t kMaxPieces = 1 << 20;

struct Header {
  char magic[8];
  uint32_t version, header_bytes;
  uint64_t file_bytes, n_pieces;
  char key[64];      // PrepackKey::hash()
  char plugin[128];  // id and version, for people
  char reserved[224];
  char checksum[64];  // hex
};
static_assert(sizeof(Header) == 512);

struct PieceRecord {
  uint64_t offset, bytes;
  uint32_t rows, cols;
};
static_assert(sizeof(PieceRecord) == 24);

uint64_t round_up(uint64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

std::string system_text(int code) { return std::generic_category().message(code); }

std::vector<PieceRecord> place(std::span<const PieceShape> shapes) {
  std::vector<PieceRecord> records;
  uint64_t offset = round_up(sizeof(Header) + shapes.size() * sizeof(PieceRecord));
  for (const PieceShape& s : shapes) {
    records.push_back({offset, s.bytes, s.rows, s.cols});
    offset += round_up(s.bytes);
  }
  return records;
}

// Of header and table; header.checksum must be zero.
std::string checksum(const Header& header, const void* records, size_t n) {
  std::vector<uint8_t> bytes(sizeof header + n * sizeof(PieceRecord));
  std::memcpy(bytes.data(), &header, sizeof header);
  if (n > 0) std::memcpy(bytes.data() + sizeof header, records, n * sizeof(PieceRecord));
  return sha256_hex(bytes);
}

void copy_text(char* field, size_t size, const std::string& text) {
  std::memcpy(field, text.data(), std::min(size, text.size()));
}

Header make_header(const PrepackKey& key, std::span<const PieceShape> shapes, const std::vector<PieceRecord>& records) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.header_bytes = sizeof header;
  header.file_bytes = prepack_file_bytes(shapes);
  header.n_pieces = shapes.size();
  copy_text(header.key, sizeof header.key, key.hash());
  copy_text(header.plugin, sizeof header.plugin - 1, key.plugin + " " + key.plugin_version);
  copy_text(header.checksum, sizeof header.checksum, checksum(header, records.data(), records.size()));
  return header;
}

// Empty, or what is wrong with the mapped bytes.
std::string find_fault(const uint8_t* map, uint64_t bytes, const PrepackKey& key, std::span<const PieceShape> shapes) {
  Header header;
  std::memcpy(&header, map, sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return "not a file of packed weights";
  if (header.version != kVersion) return fmt::format("version {}, expected {}", header.version, kVersion);
  if (header.file_bytes != bytes) return fmt::format("has {} bytes, its header says {}", bytes, header.file_bytes);
  if (header.header_bytes != sizeof header || header.n_pieces > kMaxPieces ||
      header.n_pieces > (bytes - sizeof header) / sizeof(PieceRecord)) {
    return "its header makes no sense";
  }
  Header unsigned_header = header;
  std::memset(unsigned_header.checksum, 0, sizeof unsigned_header.checksum);
  const std::string expected = checksum(unsigned_header, map + sizeof header, header.n_pieces);
  if (std::memcmp(expected.data(), header.checksum, sizeof header.checksum) != 0) return "the checksum of its header is wrong";
  if (std::memcmp(key.hash().data(), header.key, sizeof header.key) != 0) return "is of another model, plugin or layout";
  const std::vector<PieceRecord> records = place(shapes);
  if (header.n_pieces != records.size() || bytes != prepack_file_bytes(shapes) ||
      (!records.empty() && std::memcmp(map + sizeof header, records.data(), records.size() * sizeof(PieceRecord)) != 0)) {
    return "its table does not fit the model's matrices";
  }
  return {};
}

// Empty, or the system's reason.
std::string write_at(int fd, const void* data, uint64_t bytes, uint64_t offset) {
  const auto* from = static_cast<const uint8_t*>(data);
  while (bytes > 0) {
    const ssize_t n = ::pwrite(fd, from, static_cast<size_t>(std::min<uint64_t>(bytes, 64u << 20)), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_text(errno);
    if (n == 0) return system_text(ENOSPC);
    from += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<uint64_t>(n);
  }
  return {};
}

// Writes a file from its start, 2 MiB at a time and there aligned: the system then keeps it in large pages, and a matrix is
// read a quarter faster through them. Pieces as they are, of any length, would leave most of it in small ones.
class LargeWrites {
 public:
  explicit LargeWrites(int fd) : fd_(fd), buffer_(kLarge) {}

  // Empty, or the system's reason; the same for finish().
  std::string add(const void* data, uint64_t bytes) {
    const auto* from = static_cast<const uint8_t*>(data);
    while (bytes > 0) {
      const uint64_t n = std::min(bytes, kLarge - used_);
      std::memcpy(buffer_.data() + used_, from, n);
      from += n, bytes -= n, used_ += n;
      if (used_ < kLarge) break;
      if (std::string fault = finish(); !fault.empty()) return fault;
    }
    return {};
  }
  // Zeros up to an offset of the file.
  std::string pad(uint64_t offset) {
    static constexpr uint8_t kZeros[kAlign] = {};
    return add(kZeros, offset - (offset_ + used_));  // fewer than kAlign, as pieces follow each other
  }
  std::string finish() {
    std::string fault = write_at(fd_, buffer_.data(), used_, offset_);
    offset_ += used_;
    used_ = 0;
    return fault;
  }

 private:
  static constexpr uint64_t kLarge = 2u << 20;
  int fd_;
  std::vector<uint8_t> buffer_;
  uint64_t used_ = 0, offset_ = 0;
};

}  // namespace

std::string PrepackKey::hash() const {
  const std::string text = fmt::format("{}\n{}\n{}\n{}\n{}\n", kVersion, model_sha256, layout, plugin, plugin_version);
  return sha256_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

uint64_t prepack_file_bytes(std::span<const PieceShape> shapes) {
  const std::vector<PieceRecord> records = place(shapes);
  return records.empty() ? round_up(sizeof(Header)) : records.back().offset + round_up(records.back().bytes);
}

PrepackFile::~PrepackFile() { ::munmap(const_cast<uint8_t*>(map_), bytes_); }

std::variant<std::unique_ptr<PrepackFile>, std::string> PrepackFile::open(const std::string& path, const PrepackKey& key,
                                                                          std::span<const PieceShape> shapes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return errno == ENOENT ? std::string() : system_text(errno);
  struct stat s {};
  std::string fault;
  std::unique_ptr<PrepackFile> file;
  if (::fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_uid != ::geteuid() || (s.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    fault = "not a regular file that only this user may write";
  } else if (static_cast<uint64_t>(s.st_size) < sizeof(Header)) {
    fault = fmt::format("has {} bytes, fewer than its header", s.st_size);
  } else {
    const uint64_t bytes = static_cast<uint64_t>(s.st_size);
    void* map = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
      fault = system_text(errno);
    } else {
      file.reset(new PrepackFile(static_cast<const uint8_t*>(map), bytes));
      fault = find_fault(file->map_, bytes, key, shapes);
    }
  }
  if (fault.empty()) ::futimens(fd, nullptr);  // last use, for whoever makes room
  ::close(fd);
  if (!fault.empty()) return fault;
  ::madvise(const_cast<uint8_t*>(file->map_), file->bytes_, MADV_HUGEPAGE);
  ::madvise(const_cast<uint8_t*>(file->map_), file->bytes_, MADV_WILLNEED);
  for (const PieceRecord& r : place(shapes)) file->pieces_.emplace_back(file->map_ + r.offset, r.bytes);
  return file;
}

std::string write_prepack_file(int fd, const PrepackKey& key, std::span<const PieceShape> shapes,
                               std::span<const void* const> data) {
  const uint64_t bytes = prepack_file_bytes(shapes);
  // Reserves the space, so that a full disk shows before anything is written. Not every file system can.
  if (::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
    return system_text(errno);
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) return system_text(errno);
  const std::vector<PieceRecord> records = place(shapes);
  const Header header = make_header(key, shapes, records);
  LargeWrites file(fd);
  std::string fault = file.add(&header, sizeof header);
  if (fault.empty()) fault = file.add(records.data(), records.size() * sizeof(PieceRecord));
  for (size_t i = 0; fault.empty() && i < records.size(); ++i) {
    fault = file.pad(records[i].offset);
    if (fault.empty()) fault = file.add(data[i], records[i].bytes);
  }
  if (fault.empty()) fault = file.finish();
  if (fault.empty() && ::fsync(fd) != 0) fault = system_text(errno);
  return fault;
}

}  // namespace bitnet::store
