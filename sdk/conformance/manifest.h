// conformance/manifest.h - the static facts a plugin file states about itself.
#pragma once

#include <string>
#include <vector>

namespace bitnet::conformance {

struct Manifest {
  std::string id, version, kind, numerics;
  std::vector<std::string> tiers, arch;
};

// text: content of section .bnplug, perhaps with zeros at its end. Throws Failure that names the key.
Manifest read_manifest(const std::string& text);

std::string machine_name();  // of this machine, as the manifest's "arch" spells it

}  // namespace bitnet::conformance
