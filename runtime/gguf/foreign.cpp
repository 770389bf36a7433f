// gguf/foreign.cpp - recognises what people have under a model's name when it is not a GGUF file.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "gguf/parse.h"

namespace bitnet::gguf {
namespace {

constexpr const char* kPullAgain = "the download was not the model; fetch it with 'bitnet-run pull'";
constexpr const char* kConvert = "a GGUF file is needed; convert the model first";

struct Signature {
  std::string_view start;  // lower case; compared without regard to case, after white space
  const char* what;
  const char* advice;
};

constexpr Signature kSignatures[] = {
    {"<!doctype html", "an HTML page", kPullAgain},
    {"<html", "an HTML page", kPullAgain},
    {"<?xml", "an XML answer of a server", kPullAgain},
    {"version https://git-lfs", "a Git-LFS pointer", kPullAgain},
    {"{\"error", "a JSON error answer of a server", kPullAgain},
    {"pk\x03\x04", "a ZIP archive (for example a PyTorch checkpoint)", kConvert},
    {"\x1f\x8b", "a gzip archive", "unpack it first"},
    {"fugg", "a GGUF file of the other byte order (big-endian)", "only little-endian files are supported"},
    {"lmgg", "an old GGML file", kConvert},
    {"tjgg", "an old GGML file", kConvert},
    {"fmgg", "an old GGML file", kConvert},
};

bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c + 32) : c; }

bool is_safetensors(std::span<const uint8_t> bytes) {
  if (bytes.size() < 10) return false;
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  return header >= 2 && header <= (uint64_t{100} << 20) && bytes[8] == '{' && (bytes[9] == '"' || is_space(bytes[9]));
}

}  // namespace

std::string describe_foreign(std::span<const uint8_t> bytes) {
  if (is_safetensors(bytes)) return fmt::format("looks like a safetensors file: {}", kConvert);
  auto text = bytes;
  while (!text.empty() && is_space(text[0])) text = text.subspan(1);
  for (const Signature& signature : kSignatures) {
    const auto same = [](char a, uint8_t b) { return static_cast<uint8_t>(a) == lower(b); };
    if (text.size() >= signature.start.size() &&
        std::equal(signature.start.begin(), signature.start.end(), text.begin(), same)) {
      return fmt::format("looks like {}: {}", signature.what, signature.advice);
    }
  }
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 4));
  return fmt::format("no GGUF file: it begins with '{}', expected 'GGUF'", printable(start));
}

}  // namespace bitnet::gguf
