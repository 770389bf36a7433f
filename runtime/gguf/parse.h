// gguf/parse.h - the steps between the bytes of a file and its checked Contents (internal to gguf/).
//
// Errors  FormatError, the message beginning with `label` (the file's path). With the name of a tensor it is about that one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "gguf/reader.h"

namespace bitnet::gguf {

// All steps. Source: formats of header, keys and tensor descriptions, then place_tensors().
Contents parse(std::string_view label, std::span<const uint8_t> bytes, OpenOptions options);

// Header, keys and tensor descriptions: all but place_tensors().
Contents parse_header(std::string_view label, std::span<const uint8_t> bytes);

// Gives every tensor its type, size and place in the file. On entry TensorInfo::offset counts from the data section.
void place_tensors(std::string_view label, std::span<const uint8_t> bytes, OpenOptions options, Contents& contents);

// What a file without the GGUF magic looks like and what to do, for example "looks like an HTML page: ...".
std::string describe_foreign(std::span<const uint8_t> bytes);

}  // namespace bitnet::gguf
