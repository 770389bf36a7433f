// gguf/tiles.cpp - the built-in tables, kernel_config.ini, and what a tile must satisfy.
#include "gguf/tiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/property_tree/ini_parser.hpp>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "gguf/format_error.h"

namespace bitnet::gguf {
namespace {

constexpr size_t kMaxConfigBytes = 1u << 20;
constexpr uint32_t kMaxTile = 1u << 20;

constexpr TileEntry kTl1[] = {
    {1536, 4096, {256, 128, 32}},   // bitnet_b1_58-large
    {1536, 1536, {128, 64, 64}},    //
    {4096, 1536, {256, 128, 32}},   //
    {3200, 8640, {160, 64, 32}},    // bitnet_b1_58-3B
    {3200, 3200, {320, 128, 64}},   //
    {8640, 3200, {320, 64, 32}},    //
    {14336, 4096, {256, 128, 32}},  // Llama3-8B-1.58, as the setup script writes it
    {4096, 14336, {128, 64, 64}},   //
    {1024, 4096, {256, 128, 32}},   //
    {4096, 4096, {128, 64, 64}},    //
};

// Shapes for which a preset of the same program has another tile than the setup script.
constexpr TileEntry kTl1Presets[] = {
    {14336, 4096, {256, 128, 64}},
    {4096, 14336, {256, 128, 32}},
    {1024, 4096, {128, 64, 64}},
    {4096, 4096, {128, 64, 32}},
};

constexpr TileEntry kTl2[] = {
    {1536, 4096, {256, 96, 32}},   // bitnet_b1_58-large
    {1536, 1536, {128, 192, 32}},  //
    {4096, 1536, {256, 96, 32}},   //
    {3200, 8640, {160, 96, 32}},   // bitnet_b1_58-3B
    {3200, 3200, {320, 96, 32}},   //
    {8640, 3200, {320, 96, 32}},   //
    {14336, 4096, {256, 96, 32}},  // Llama3-8B-1.58
    {4096, 14336, {128, 96, 32}},  //
    {1024, 4096, {256, 96, 32}},   //
    {4096, 4096, {128, 96, 32}},   //
};

template <class Table>
const TileEntry* find_shape(const Table& table, uint64_t rows, uint64_t columns) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [&](const TileEntry& e) { return e.rows == rows && e.columns == columns; });
  return found == std::end(table) ? nullptr : &*found;
}

uint64_t rows_of(const Extents& e) { return e[1] * e[2] * e[3]; }

// Empty, or what the tile violates.
std::string why_not_tl1(uint64_t rows, uint64_t columns, const Tile& t) {
  if (t.inner != 16 && t.inner != 32 && t.inner != 64) return fmt::format("bmm is {}, expected 16, 32 or 64", t.inner);
  if (t.rows % t.inner != 0) return fmt::format("bm {} is no multiple of bmm {}", t.rows, t.inner);
  if (const uint32_t by = 256 / t.inner; t.columns % by != 0) {
    return fmt::format("bk {} is no multiple of {}, as bmm {} needs", t.columns, by, t.inner);
  }
  if (rows % t.rows != 0) return fmt::format("{} rows are no multiple of bm {}", rows, t.rows);
  if (columns % t.columns != 0) return fmt::format("{} columns are no multiple of bk {}", columns, t.columns);
  return {};
}

std::string why_not_tl2(const Extents& extents, const Tile& t) {
  const uint64_t rows = rows_of(extents), columns = extents[0];
  if (t.inner != 32) return fmt::format("bmm is {}, expected 32", t.inner);
  if (t.rows % 32 != 0) return fmt::format("bm {} is no multiple of 32", t.rows);
  if (t.columns % 24 != 0) return fmt::format("bk {} is no multiple of 24", t.columns);
  if (rows % t.rows != 0) return fmt::format("{} rows are no multiple of bm {}", rows, t.rows);
  if (columns % t.columns % 32 != 0) {
    return fmt::format("{} columns leave {} behind whole tiles of bk {}, which is no multiple of 32", columns,
                       columns % t.columns, t.columns);
  }
  const uint64_t room = tensor_bytes(type_info(Type::kTL2), extents).value_or(0);
  if (tl2_parts(extents, t).end + type_info(Type::kTL2).tail > room) {
    return fmt::format("bk {} leaves {} columns behind whole tiles, more than the format has room for", t.columns,
                       columns % t.columns);
  }
  return {};
}

class ConfigReader {
 public:
  explicit ConfigReader(const std::string& path) : path_(path) {}

  TileTable run() {
    std::istringstream text(read_text());
    boost::property_tree::ptree tree;
    try {
      boost::property_tree::read_ini(text, tree);
    } catch (const boost::property_tree::ini_parser_error& e) {
      fail(ErrorKind::kUsage, "kernel configuration {}: line {}: {}", printable(path_), e.line(), e.message());
    }
    TileTable table;
    for (const auto& [section, keys] : tree) {
      if (keys.empty()) refuse(section, "expected a section like [Kernels_0] with the keys m, k, bm, bk, bmm");
      const TileEntry entry{number(section, keys, "m"),
                            number(section, keys, "k"),
                            {number(section, keys, "bm"), number(section, keys, "bk"), number(section, keys, "bmm")}};
      if (find_shape(table, entry.rows, entry.columns) != nullptr) {
        refuse(section, fmt::format("the shape m = {}, k = {} occurs twice", entry.rows, entry.columns));
      }
      table.push_back(entry);
    }
    if (table.empty()) {
      fail(ErrorKind::kUsage, "kernel configuration {}: no section found, expected [Kernels_0] with the keys m, k, bm, bk, bmm",
           printable(path_));
    }
    return table;
  }

 private:
  [[noreturn]] void refuse(const std::string& section, const std::string& why) const {
    fail(ErrorKind::kUsage, "kernel configuration {}: [{}]: {}", printable(path_), printable(section), why);
  }

  std::string read_text() const {
    std::error_code unknown;
    const bool regular = std::filesystem::is_regular_file(path_, unknown);  // opening a pipe would wait for its writer
    std::ifstream file;
    if (regular) file.open(path_, std::ios::binary);
    std::string text(kMaxConfigBytes + 1, '\0');
    if (!file.is_open() || !file.read(text.data(), static_cast<std::streamsize>(text.size())).eof()) {
      const bool long_one = file.is_open() && file.good();
      fail(ErrorKind::kUsage, "kernel configuration {}: {}", printable(path_),
           long_one ? "longer than 1 MiB" : "cannot be read");
    }
    text.resize(static_cast<size_t>(file.gcount()));
    return text;
  }

  uint32_t number(const std::string& section, const boost::property_tree::ptree& keys, const char* key) const {
    const auto found = keys.find(key);
    if (found == keys.not_found()) refuse(section, fmt::format("key '{}' is missing", key));
    const std::string& text = found->second.data();
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > kMaxTile) {
      refuse(section, fmt::format("{} = '{}', expected a number from 1 to {}", key, printable(text), kMaxTile));
    }
    return value;
  }

  const std::string& path_;
};

}  // namespace

TileTable read_kernel_config(const std::string& path) { return ConfigReader(path).run(); }

Tl2Parts tl2_parts(const Extents& extents, const Tile& tile) {
  Tl2Parts p{};
  const uint64_t rows = rows_of(extents);
  p.pair_columns = extents[0] % tile.columns;
  p.triple_columns = extents[0] - p.pair_columns;
  p.signs = rows * (p.triple_columns / 6);
  p.pairs = p.signs + rows * (p.triple_columns / 24);
  p.end = p.pairs + rows * (p.pair_columns / 4);
  return p;
}

Tile find_tile(const TypeInfo& type, const std::string& name, const Extents& extents, const TileTable* given) {
  const uint64_t rows = rows_of(extents), columns = extents[0];
  const bool tl1 = type.type == Type::kTL1;
  const TileEntry* entry = given == nullptr ? nullptr : find_shape(*given, rows, columns);
  if (entry == nullptr) entry = tl1 ? find_shape(kTl1, rows, columns) : find_shape(kTl2, rows, columns);
  const auto refuse = [&](const std::string& why) {
    fail_format(Fault::kUnsupportedQuantization, {name, {}, {}, {}, {}}, "tensor '{}' ({}): {}", printable(name), type.name,
                why);
  };
  if (entry == nullptr) {
    refuse(
        fmt::format("no tile parameters are known for {} rows and {} columns{}, and {} files do not hold them; give the "
                    "kernel_config.ini of the program that wrote the file with --kernel-config FILE, or convert the model "
                    "from its source to I2_S",
                    rows, columns, given == nullptr ? "" : ", neither in the --kernel-config file nor built in", type.name));
  }
  const std::string fault = tl1 ? why_not_tl1(rows, columns, entry->tile) : why_not_tl2(extents, entry->tile);
  if (!fault.empty()) {
    refuse(fmt::format("the tile parameters for {} rows and {} columns (bm {}, bk {}, bmm {}) are impossible: {}", rows,
                       columns, entry->tile.rows, entry->tile.columns, entry->tile.inner, fault));
  }
  return entry->tile;
}

bool tile_is_doubtful(const TypeInfo& type, const Extents& extents, const TileTable* given) {
  if (type.type != Type::kTL1) return false;
  if (given != nullptr && find_shape(*given, rows_of(extents), extents[0]) != nullptr) return false;
  return find_shape(kTl1Presets, rows_of(extents), extents[0]) != nullptr;
}

}  // namespace bitnet::gguf
