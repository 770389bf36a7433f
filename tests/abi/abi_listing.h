// abi/abi_listing.h - the plugin ABI as a list of facts: every struct, field, enum value and constant that the headers declare.
//
// The headers are read as text, so that nothing new can be forgotten; a compiler then says what the numbers are.
// Errors  std::runtime_error naming header or program.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace bitnet::test {

struct Declarations {
  struct Struct {
    std::string name;
    std::vector<std::string> fields;
  };
  std::vector<Struct> structs;
  std::vector<std::string> opaque;                // typedef struct x x;
  std::vector<std::string> values, texts, bytes;  // enum values and numbers; "..."; {..}
};

// Of the C headers in a folder "bitnet".
Declarations read_declarations(const std::string& folder);

// A C++17 program that prints the facts, one per line: "field bn_error.code = at 4, 4 bytes, i32".
std::string printing_program(const Declarations& declarations);

// C99 source that compiles only if the C compiler agrees with these facts about sizes, offsets and values.
std::string agreeing_c_source(const std::vector<std::string>& facts);

// "field bn_error.code" -> "at 4, 4 bytes, i32"
std::map<std::string, std::string> by_name(const std::vector<std::string>& facts);

// Where a field ends, in bytes from the start of its struct.
size_t end_of(const std::map<std::string, std::string>& facts, const std::string& field);

std::vector<std::string> lines_of(const std::string& text);

}  // namespace bitnet::test
