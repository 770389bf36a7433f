// fuzz/checkpoint.cpp - a Hugging Face checkpoint of any bytes: configuration, safetensors, pooling, chat template, and the
// model of it.
//
// Input   config.json, modules.json, 1_Pooling/config.json and tokenizer_config.json, each ended by a byte 0 and left out when
//         empty; the rest is model.safetensors.
#include "checkpoint/checkpoint.h"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "model/config.h"
#include "model/weights.h"

namespace {

namespace fs = std::filesystem;

void put(const fs::path& path, std::string_view content, bool always) {
  std::error_code ignored;
  if (content.empty() && !always) {
    fs::remove(path, ignored);
    return;
  }
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

// One for each process, in memory where there is such a place.
const fs::path& folder() {
  static const fs::path path = [] {
    const fs::path place = (fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) /
                           ("fuzz_checkpoint_" + std::to_string(::getpid()));
    fs::create_directories(place / "1_Pooling");
    std::atexit([] { fs::remove_all(folder()); });
    return place;
  }();
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"config.json", "modules.json", "1_Pooling/config.json", "tokenizer_config.json"}) {
    const size_t end = std::min(rest.find('\0'), rest.size());
    put(folder() / name, rest.substr(0, end), name == std::string_view("config.json"));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  put(folder() / "model.safetensors", rest, true);
  try {
    const bitnet::gguf::File file = bitnet::checkpoint::open_checkpoint(folder().string());
    const bitnet::model::Config config = bitnet::model::read_config(file);
    bitnet::model::read_weights(file, config, {.check_tensors = true});
  } catch (const bitnet::Error&) {
  }
  return 0;
}
