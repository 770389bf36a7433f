// unit/gguf/faults_test.cpp - one switch per fault of a small valid model; every cut and every flipped header bit.
//
// The faults are tests of their own, named after the rows of the list of bad inputs. Each is refused with the right message
// and before memory out of proportion to the file is allocated.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <random>

#include "gguf/float_formats.h"
#include "gguf/reader.h"
#include "gguf/ternary_formats.h"
#include "unit/gguf/counted_allocation.h"
#include "unit/gguf/files.h"
#include "unit/gguf/model_image.h"

namespace bitnet::gguf {
namespace {

using test::error_of;
using test::ModelImage;
using test::raw;
using test::raw_array;
using test::raw_string;

struct Fault {
  const char* name;
  const char* message;  // a part of the expected one
  std::function<void(ModelImage&)> apply;
};

constexpr uint64_t kTwo62 = uint64_t{1} << 62;
constexpr uint64_t kTwo63 = uint64_t{1} << 63;

std::vector<Fault> header_faults() {
  return {
      {"F02_wrong_magic", "begins with 'GGUX', expected 'GGUF'", [](ModelImage& m) { m.magic = "GGUX"; }},
      {"F02_reversed_magic", "big-endian", [](ModelImage& m) { m.magic = "FUGG"; }},
      {"F02_zip", "ZIP", [](ModelImage& m) { m.magic = "PK\x03\x04"; }},
      {"F03_version_0", "GGUF version 0 is not supported, expected 2 or 3", [](ModelImage& m) { m.version = 0; }},
      {"F03_version_1", "version 1 is not supported", [](ModelImage& m) { m.version = 1; }},
      {"F03_version_4", "version 4 is not supported", [](ModelImage& m) { m.version = 4; }},
      {"F03_big_endian", "big-endian", [](ModelImage& m) { m.version = 0x03000000; }},
      {"F04_tensor_count_minus_1", "tensor count -1", [](ModelImage& m) { m.n_tensors = UINT64_MAX; }},
      {"F04_tensor_count_2_to_63", "tensor count -9223372036854775808", [](ModelImage& m) { m.n_tensors = kTwo63; }},
      {"F04_tensor_count_billion", "tensor count 1000000000", [](ModelImage& m) { m.n_tensors = 1000000000; }},
      {"F04_tensor_count_over_limit", "tensor count 65537, expected 0 to 65536", [](ModelImage& m) { m.n_tensors = 65537; }},
      {"F04_tensor_count_beyond_file", "file is cut", [](ModelImage& m) { m.n_tensors = 65536; }},
      {"F04_tensor_count_one_more", "", [](ModelImage& m) { m.n_tensors = m.tensors.size() + 1; }},
      {"F05_key_count_minus_1", "key count -1", [](ModelImage& m) { m.n_keys = UINT64_MAX; }},
      {"F05_key_count_2_to_62", "key count 4611686018427387904", [](ModelImage& m) { m.n_keys = kTwo62; }},
      {"F05_key_count_billion", "key count 1000000000", [](ModelImage& m) { m.n_keys = 1000000000; }},
      {"F05_key_count_beyond_file", "65536 keys", [](ModelImage& m) { m.n_keys = 65536; }},
  };
}

std::vector<Fault> key_faults() {
  return {
      {"F06_key_of_length_0", "the key is empty", [](ModelImage& m) { m.keys[3].name = ""; }},
      {"F06_key_of_length_2_to_64_minus_1", "18446744073709551615 bytes",
       [](ModelImage& m) { m.keys[3].name_length = UINT64_MAX; }},
      {"F06_key_of_64_kib_and_1", "65537 bytes, at most 65536",
       [](ModelImage& m) { m.keys[3].name = std::string(65537, 'k'); }},
      {"F06_key_with_nul", "'a\\x00b' holds NUL", [](ModelImage& m) { m.keys[3].name = std::string("a\0b", 3); }},
      {"F06_key_with_invalid_utf8", "invalid UTF-8", [](ModelImage& m) { m.keys[3].name = "a\xC3"; }},
      {"F06_key_with_surrogate", "invalid UTF-8", [](ModelImage& m) { m.keys[3].name = "a\xED\xA0\x80"; }},
      {"F06_key_with_overlong_form", "invalid UTF-8", [](ModelImage& m) { m.keys[3].name = "a\xE0\x80\xAF"; }},
      {"F07_string_of_2_to_64_minus_1", "18446744073709551615 bytes",
       [](ModelImage& m) { m.key("general.name").value = raw(UINT64_MAX); }},
      {"F07_string_longer_than_the_file", "file is cut",
       [](ModelImage& m) { m.key("general.name").value = raw<uint64_t>(16 << 20); }},
      {"F07_string_over_the_limit", "16777217 bytes, at most 16777216",
       [](ModelImage& m) { m.key("general.name").value = raw<uint64_t>((16 << 20) + 1); }},
      {"F07_string_of_limit_plus_1_really_there", "16777217 bytes",
       [](ModelImage& m) { m.key("general.name").value = raw_string(std::string((16 << 20) + 1, 'x')); }},
      {"F08_duplicate_key", "key 7 'test.u8': the key occurs twice", [](ModelImage& m) { m.keys[7].name = "test.u8"; }},
      {"F08_duplicate_tensor", "tensor 3 'token_embd.weight': the tensor name occurs twice",
       [](ModelImage& m) { m.tensors[3].name = "token_embd.weight"; }},
      {"F09_array_of_2_to_62", "array of 4611686018427387904",
       [](ModelImage& m) { m.key("test.bools").value = raw_array(7, kTwo62, ""); }},
      {"F09_billion_empty_strings", "array of 1000000000",
       [](ModelImage& m) { m.key("test.bools").value = raw_array(8, 1000000000, ""); }},
      {"F09_array_longer_than_the_file", "file is cut",
       [](ModelImage& m) { m.key("test.bools").value = raw_array(10, 1 << 20, ""); }},
      {"F09_array_of_strings_longer_than_the_file", "file is cut",
       [](ModelImage& m) { m.key("test.bools").value = raw_array(8, 1 << 20, ""); }},
      {"F09_array_element_longer_than_the_file", "file is cut",
       [](ModelImage& m) { m.key("test.bools").value = raw_array(8, 1, raw<uint64_t>(1 << 20)); }},
      {"F09_arrays_over_the_limit_together", "array of 6 elements; all arrays of a file together may have 16777216",
       [](ModelImage& m) { m.key("test.bools").value = raw_array(0, 16777200, std::string(16777200, '\0')); }},
      {"F09_nested_array", "array of arrays", [](ModelImage& m) { m.key("test.bools").value = raw_array(9, 1, ""); }},
      {"F09_array_of_an_unknown_type", "value type 13",
       [](ModelImage& m) { m.key("test.bools").value = raw_array(13, 1, ""); }},
      {"F18_unknown_value_type", "value type 4294967295", [](ModelImage& m) { m.key("test.u8").type = UINT32_MAX; }},
      {"F18_bool_of_2", "a bool holds 2", [](ModelImage& m) { m.key("tokenizer.ggml.add_bos_token").value = raw<uint8_t>(2); }},
      {"F18_bool_of_2_in_an_array", "a bool holds 2",
       [](ModelImage& m) { m.key("test.bools").value = raw_array(7, 2, "\1\2"); }},
      {"F13_alignment_0", "no power of two", [](ModelImage& m) { m.key("general.alignment").value = raw<uint32_t>(0); }},
      {"F13_alignment_48", "48 is no power of two",
       [](ModelImage& m) { m.key("general.alignment").value = raw<uint32_t>(48); }},
      {"F13_alignment_4", "4 is no power of two of at least 8",
       [](ModelImage& m) { m.key("general.alignment").value = raw<uint32_t>(4); }},
      {"F13_alignment_as_string", "expected u32, found string",
       [](ModelImage& m) {
         m.keys.push_back({"general.alignment", 8, raw_string("32")});
       }},
      {"F13_alignment_of_2_gib", "multiple of the alignment 2147483648",
       [](ModelImage& m) { m.key("general.alignment").value = raw<uint32_t>(uint32_t{1} << 31); }},
  };
}

std::vector<Fault> tensor_faults() {
  const auto extents = [](std::vector<uint64_t> values) {
    return [values](ModelImage& m) { m.tensor("output_norm.weight").extents = values; };
  };
  const auto type = [](uint32_t id) { return [id](ModelImage& m) { m.tensor("output_norm.weight").type_id = id; }; };
  const auto offset = [](uint64_t value) { return [value](ModelImage& m) { m.tensors[1].offset = value; }; };
  return {
      {"F06_tensor_name_of_64_bytes", "64 bytes, at most 63", [](ModelImage& m) { m.tensors[1].name = std::string(64, 'n'); }},
      {"F06_tensor_without_name", "name is empty", [](ModelImage& m) { m.tensors[1].name = ""; }},
      {"F06_tensor_name_with_nul", "holds NUL", [](ModelImage& m) { m.tensors[1].name = std::string("\0", 1); }},
      {"F10_0_dimensions", "0 dimensions, expected 1 to 4", [](ModelImage& m) { m.tensors[1].n_dims = 0; }},
      {"F10_5_dimensions", "5 dimensions, expected 1 to 4", [](ModelImage& m) { m.tensors[1].n_dims = 5; }},
      {"F10_2_to_32_minus_1_dimensions", "4294967295 dimensions", [](ModelImage& m) { m.tensors[1].n_dims = UINT32_MAX; }},
      {"F10_dimension_of_0", "dimension 0 is 0", extents({0})},
      {"F10_negative_dimension", "dimension 1 is -1", extents({16, UINT64_MAX})},
      {"F10_dimension_of_2_to_63_minus_1", "its size overflows", extents({kTwo63 - 1})},
      {"F10_product_that_wraps_to_0", "product of the dimensions", extents({uint64_t{1} << 32, uint64_t{1} << 32})},
      {"F10_product_that_wraps_to_16", "product of the dimensions",
       extents({(uint64_t{1} << 32) + 1, (uint64_t{1} << 32) * 16, 16})},
      {"F10_columns_that_do_not_fill_a_block", "'blk.0.attn_k.weight': type TQ2_0: 255 columns are no multiple of 256",
       [](ModelImage& m) {
         m.tensor("blk.0.attn_k.weight").extents = {255, 2};
       }},
      {"F12_retired_4", "4 (Q4_2) is retired", type(4)},
      {"F12_retired_31", "31 (Q4_0_4_4) is retired", type(31)},
      {"F12_retired_32", "32 (Q4_0_4_8) is retired", type(32)},
      {"F12_retired_33", "33 (Q4_0_8_8) is retired", type(33)},
      {"F12_activations_37", "37 (I8_S", type(37)},
      {"F12_retired_142", "142 (IQ2_TN) is retired", type(142)},
      {"F12_type_count", "type id 43 is unknown", type(43)},
      {"F12_type_minus_1", "type id -1 is unknown", type(UINT32_MAX)},
      {"F12_type_2_to_31", "type id -2147483648 is unknown", type(uint32_t{1} << 31)},
      {"F13_unaligned_offset", "'output_norm.weight': data offset 1040 is no multiple of the alignment 32", offset(1040)},
      {"F13_offset_beyond_the_file", "lies beyond the end of the file", offset(1 << 20)},
      {"F13_offset_that_wraps", "data offset 18446744073709551584 is impossible", offset(UINT64_MAX - 31)},
      {"F13_offset_that_wraps_with_its_size", "data offset 9223372036854775808 with 9223372036854775744 bytes is impossible",
       [](ModelImage& m) {
         m.tensors.back() = {"output.weight", {kTwo62 - 32}, 1, 64, kTwo63};
       }},
      {"F13_overlap", "its 1024 bytes at data offset 0 overlap tensor 'output_norm.weight' at 992", offset(992)},
      {"F13_same_place", "overlap tensor", offset(0)},
      {"F14_one_byte_less_than_a_tensor", "file is cut",
       [](ModelImage& m) {
         m.tensors.back().extents = {64, 3};
       }},
  };
}

File parse(const std::string& bytes) { return File("image", test::as_bytes(bytes)); }

class FaultTest : public testing::Test {
 public:
  explicit FaultTest(const Fault& fault) : fault_(fault) {}
  void TestBody() override {
    ModelImage image = test::valid_image();
    fault_.apply(image);
    const std::string bytes = image.build();
    const auto start = std::chrono::steady_clock::now();
    const uint64_t before = test::allocated_bytes();
    const std::string message = error_of([&] { parse(bytes); });
    EXPECT_LT(test::allocated_bytes() - before, 64 * 1024 + bytes.size())
        << "allocated for a file of " << bytes.size() << " bytes";
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
    EXPECT_NE(message.find(fault_.message), std::string::npos) << message;
    EXPECT_EQ(message.find("image: "), 0u) << message;
  }

 private:
  Fault fault_;
};

const bool registered = [] {
  for (const auto& faults : {header_faults(), key_faults(), tensor_faults()}) {
    for (const Fault& fault : faults) {
      testing::RegisterTest("GgufFault", fault.name, nullptr, nullptr, __FILE__, __LINE__,
                            [fault]() -> testing::Test* { return new FaultTest(fault); });
    }
  }
  return true;
}();

// What a program does with a file that opened: every lookup, every decoder.
void use_everything(const File& file) {
  for (const KeyValue& entry : file.keys()) {
    const auto attempt = [&](auto&& lookup) {
      try {
        lookup();
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::kInvalidModel) << error.what();
      }
    };
    attempt([&] { file.find_uint(entry.key); });
    attempt([&] { file.find_float(entry.key); });
    attempt([&] { file.find_string(entry.key); });
    attempt([&] { file.find_string_array(entry.key); });
    attempt([&] { file.find_int_array(entry.key); });
    attempt([&] { file.find_float_array(entry.key); });
    attempt([&] { file.find_bool_array(entry.key); });
  }
  for (const TensorInfo& tensor : file.tensors()) {
    ASSERT_LE(tensor.offset + tensor.bytes, file.size());
    std::vector<int8_t> trits(tensor.columns());
    std::vector<float> values(tensor.columns());
    const uint64_t last = tensor.rows() - 1;
    try {
      if (dense_dtype(*tensor.type)) dequantize_rows(tensor, last, last + 1, values.data());
      if (ternary_scale_kind(*tensor.type)) {
        decode_rows(tensor, last, last + 1, trits.data());
        row_scales(tensor, last, last + 1, values.data());
      }
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kInvalidModel) << error.what();
    }
  }
}

// Opens a copy that ends exactly where its memory ends; true when it is accepted.
bool opens(const std::string& bytes, OpenOptions options = {}) {
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  try {
    const File file("image", exact, options);
    if (!options.allow_cut_data) use_everything(file);
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidModel) << error.what();
    return false;
  }
}

TEST(GgufImage, the_valid_model_is_valid) {
  const std::string bytes = test::valid_image().build();
  const File file("image", test::as_bytes(bytes));
  EXPECT_TRUE(file.warnings().empty()) << file.warnings().front();
  EXPECT_GT(bytes.size(), 2500u);
  EXPECT_LT(bytes.size(), 6000u);
  EXPECT_EQ(file.tensors().size(), 8u);
  EXPECT_TRUE(opens(bytes));
}

TEST(GgufImage, limits_hold_at_their_value) {
  ModelImage image = test::valid_image();
  image.keys[3].name = std::string(65536, 'k');
  image.key("general.name").value = raw_string(std::string(16 << 20, 'x'));
  image.tensors[1].name = std::string(63, 'n');
  EXPECT_TRUE(opens(image.build()));
}

TEST(GgufImage, F14_cut_at_every_byte) {
  const std::string bytes = test::valid_image().build();
  const uint64_t needed = parse(bytes).needed_bytes();
  const uint64_t header = parse(bytes).header_bytes();
  const std::string of_all = " of " + std::to_string(needed) + " bytes";
  for (uint64_t cut = 0; cut < bytes.size(); ++cut) {
    const std::string part = bytes.substr(0, cut);
    if (cut >= needed) {  // only padding is missing
      EXPECT_TRUE(opens(part)) << cut;
      continue;
    }
    const std::string message = error_of([&] { parse(part); });
    const std::string expected =
        cut < 24 ? "too short" : "file is cut: " + std::to_string(cut) + (cut >= header ? of_all : " of at least ");
    EXPECT_NE(message.find(expected), std::string::npos) << message << " at " << cut;
    EXPECT_FALSE(opens(part)) << cut;
    EXPECT_EQ(opens(part, {.allow_cut_data = true}), cut >= header) << cut;
  }
}

TEST(GgufImage, F02_a_flip_of_every_header_bit_is_refused_or_read) {
  const std::string bytes = test::valid_image().build();
  const uint64_t header = parse(bytes).data_start();
  size_t accepted = 0;
  for (uint64_t bit = 0; bit < header * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    accepted += opens(flipped);
  }
  EXPECT_GT(accepted, header);      // most characters of names and strings may change
  EXPECT_LT(accepted, header * 7);  // lengths, counts, types and offsets may not
}

TEST(GgufImage, F02_random_damage_is_refused_or_read) {
  const std::string bytes = test::valid_image().build();
  const uint64_t header = parse(bytes).data_start();
  std::mt19937_64 random(20240229);
  const uint8_t values[] = {0, 1, 2, 3, 0x7F, 0x80, 0xFF};
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = bytes;
    for (uint64_t n = random() % 4 + 1; n != 0; --n) {
      const uint64_t at = random() % header;
      for (uint64_t k = at; k < std::min(header, at + random() % 8 + 1); ++k) {
        damaged[k] = static_cast<char>(values[random() % std::size(values)]);
      }
    }
    if (random() % 4 == 0) damaged.resize(random() % damaged.size());
    opens(damaged);
  }
}

}  // namespace
}  // namespace bitnet::gguf
