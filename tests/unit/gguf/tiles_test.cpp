// unit/gguf/tiles_test.cpp - kernel_config.ini, the built-in tiles, and refusals of both.
#include "gguf/tiles.h"

#include <gtest/gtest.h>

#include "unit/gguf/files.h"

namespace bitnet::gguf {
namespace {

using test::error_of;

const TypeInfo& tl1() { return type_info(Type::kTL1); }
const TypeInfo& tl2() { return type_info(Type::kTL2); }

std::string config_error(const std::string& text) {
  const test::TempFolder folder;
  test::write_file(folder / "k.ini", text);
  return error_of([&] { read_kernel_config(folder / "k.ini"); }, ErrorKind::kUsage);
}

TEST(Tiles, a_kernel_config_is_read) {
  const TileTable table = read_kernel_config(test::data_path("formats/kernel_config.TL1.ini"));
  ASSERT_EQ(table.size(), 5u);
  EXPECT_EQ(table[2].rows, 256u);
  EXPECT_EQ(table[2].columns, 448u);
  EXPECT_EQ(table[2].tile, (Tile{128, 64, 64}));
}

TEST(Tiles, broken_kernel_configs_are_refused_with_their_place) {
  constexpr const char* kGood = "[K0]\nm = 320\nk = 384\nbm = 160\nbk = 64\nbmm = 32\n";
  EXPECT_NE(config_error("").find("no section"), std::string::npos);
  EXPECT_NE(config_error("m = 3\n").find("[m]"), std::string::npos);
  EXPECT_NE(config_error("[K0]\nm = 320\nk = 384\nbm = 160\nbk = 64\n").find("[K0]: key 'bmm' is missing"), std::string::npos);
  EXPECT_NE(config_error("[K0]\nm = 320\nk = x\nbm = 160\nbk = 64\nbmm = 32\n").find("k = 'x'"), std::string::npos);
  EXPECT_NE(config_error("[K0]\nm = 320\nk = 0\nbm = 160\nbk = 64\nbmm = 32\n").find("k = '0'"), std::string::npos);
  EXPECT_NE(config_error("[K0]\nm = 320\nk = -1\nbm = 160\nbk = 64\nbmm = 32\n").find("k = '-1'"), std::string::npos);
  EXPECT_NE(config_error("[K0]\nm = 320\nk = 99999999999\nbm = 1\nbk = 1\nbmm = 1\n").find("k = "), std::string::npos);
  EXPECT_NE(config_error(std::string(kGood) + "[K1]\nm = 320\nk = 384\nbm = 32\nbk = 64\nbmm = 32\n").find("twice"),
            std::string::npos);
  EXPECT_NE(config_error(std::string(kGood) + "nonsense\n").find("line 7"), std::string::npos);
  EXPECT_NE(config_error(std::string(1 << 21, ';')).find("longer than"), std::string::npos);
  const test::TempFolder folder;
  EXPECT_NE(error_of([&] { read_kernel_config(folder / "none.ini"); }, ErrorKind::kUsage).find("cannot be read"),
            std::string::npos);
  EXPECT_NE(error_of([&] { read_kernel_config(folder / ""); }, ErrorKind::kUsage).find("cannot be read"), std::string::npos);
}

TEST(Tiles, published_shapes_are_built_in_and_the_users_come_first) {
  EXPECT_EQ(find_tile(tl1(), "w", {8640, 3200, 1, 1}, nullptr), (Tile{160, 64, 32}));
  EXPECT_EQ(find_tile(tl2(), "w", {1536, 1536, 1, 1}, nullptr), (Tile{128, 192, 32}));
  const TileTable mine = {{3200, 8640, {320, 32, 64}}};
  EXPECT_EQ(find_tile(tl1(), "w", {8640, 3200, 1, 1}, &mine), (Tile{320, 32, 64}));
  EXPECT_EQ(find_tile(tl1(), "w", {3200, 3200, 1, 1}, &mine), (Tile{320, 128, 64})) << "shapes the file lacks are built in";
}

TEST(Tiles, every_built_in_tile_is_possible) {
  for (const auto& [rows, columns] : {std::pair{1536u, 4096u},
                                      {1536u, 1536u},
                                      {4096u, 1536u},
                                      {3200u, 8640u},
                                      {3200u, 3200u},
                                      {8640u, 3200u},
                                      {14336u, 4096u},
                                      {4096u, 14336u},
                                      {1024u, 4096u},
                                      {4096u, 4096u}}) {
    find_tile(tl1(), "w", {columns, rows, 1, 1}, nullptr);
    find_tile(tl2(), "w", {columns, rows, 1, 1}, nullptr);
  }
}

TEST(Tiles, a_shape_without_tile_is_refused_with_what_to_do) {
  const std::string message = error_of([&] { find_tile(tl1(), "blk.0.attn_q.weight", {2560, 640, 1, 1}, nullptr); });
  for (const char* part : {"blk.0.attn_q.weight", "TL1", "640 rows", "2560 columns", "--kernel-config", "I2_S"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
  }
}

TEST(Tiles, impossible_tiles_are_refused_with_the_rule) {
  const auto refused = [](const TypeInfo& type, uint64_t rows, uint64_t columns, Tile tile) {
    const TileTable table = {{rows, columns, tile}};
    return error_of([&] { find_tile(type, "w", {columns, rows, 1, 1}, &table); });
  };
  EXPECT_NE(refused(tl1(), 320, 384, {160, 64, 24}).find("expected 16, 32 or 64"), std::string::npos);
  EXPECT_NE(refused(tl1(), 320, 384, {80, 64, 32}).find("bm 80 is no multiple of bmm 32"), std::string::npos);
  EXPECT_NE(refused(tl1(), 320, 384, {160, 12, 32}).find("bk 12 is no multiple of 8"), std::string::npos);
  EXPECT_NE(refused(tl1(), 320, 384, {96, 64, 32}).find("320 rows are no multiple of bm 96"), std::string::npos);
  EXPECT_NE(refused(tl1(), 320, 384, {160, 80, 32}).find("384 columns are no multiple of bk 80"), std::string::npos);
  EXPECT_NE(refused(tl2(), 320, 384, {160, 96, 64}).find("expected 32"), std::string::npos);
  EXPECT_NE(refused(tl2(), 320, 384, {80, 96, 32}).find("no multiple of 32"), std::string::npos);
  EXPECT_NE(refused(tl2(), 320, 384, {160, 64, 32}).find("no multiple of 24"), std::string::npos);
  EXPECT_NE(refused(tl2(), 320, 400, {160, 96, 32}).find("leave 16"), std::string::npos);
  EXPECT_NE(refused(tl2(), 320, 1024, {160, 576, 32}).find("more than the format has room for"), std::string::npos);
}

TEST(Tiles, shapes_with_two_tables_are_doubtful_until_the_user_says) {
  EXPECT_TRUE(tile_is_doubtful(tl1(), {4096, 4096, 1, 1}, nullptr));
  EXPECT_FALSE(tile_is_doubtful(tl1(), {3200, 3200, 1, 1}, nullptr));
  EXPECT_FALSE(tile_is_doubtful(tl2(), {4096, 4096, 1, 1}, nullptr));
  const TileTable mine = {{4096, 4096, {128, 64, 32}}};
  EXPECT_FALSE(tile_is_doubtful(tl1(), {4096, 4096, 1, 1}, &mine));
}

}  // namespace
}  // namespace bitnet::gguf
