// backend/manifest.h - what a plugin says about itself in its section .bnplug, read before any of its code runs.
//
// Errors   throws Error{kNoBackend} with one line that names the key.
// Input    hostile: bounded, all text checked; names and ids are plain ASCII words, so they can be printed as they are.
// Threads  pure.
// Source   sdk/include/bitnet/plugin.h, BN_MANIFEST.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet::backend {

struct Manifest {
  int64_t abi_major = 0, abi_minor = 0;
  std::string id;    // reverse DNS
  std::string name;  // the short name users type
  std::string version;
  std::string kind;                // "cpu", "gpu", "npu", "test"
  std::string numerics;            // "exact-1", "approx-1"
  std::vector<std::string> tiers;  // "kernels", "engine"; at least one of them
  std::vector<std::string> arch;
  std::vector<std::string> cpu;  // features the machine must have
};

// json: at most kMaxManifestBytes. Unknown keys are ignored, missing ones and unknown values are errors.
Manifest parse_manifest(std::string_view json);

// Throws unless this program and this machine can run the plugin: ABI major, arch, CPU features.
void check_manifest(const Manifest& manifest);

}  // namespace bitnet::backend
