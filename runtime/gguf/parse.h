// gguf/parse.h - the steps between the bytes of a file and its checked Contents (internal to gguf/).
//
// Errors  Error{kInvalidModel}, the message beginning with `label` (the file's path).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "gguf/reader.h"

namespace bitnet::gguf {

// All steps. Source: formats of header, keys and tensor descriptions, then place_tensors().
Contents parse(std::string_view label, std::span<const uint8_t> bytes, OpenOptions options);

// Gives every tensor its type, size and place in the file. On entry TensorInfo::offset counts from the data section.
void place_tensors(std::string_view label, std::span<const uint8_t> bytes, OpenOptions options, Contents& contents);

// What a file without the GGUF magic looks like and what to do, for example "looks like an HTML page: ...".
std::string describe_foreign(std::span<const uint8_t> bytes);

}  // namespace bitnet::gguf
