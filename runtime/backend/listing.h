// backend/listing.h - the answers to "backends list", --list-backends and --list-devices, as text and as JSON.
//
// describe_backends() loads every usable plugin and opens its first device for a moment, to ask which weights it takes.
// Threads  one at a time.
#pragma once

#include <string>
#include <vector>

#include "backend/registry.h"

namespace bitnet::backend {

// What a plugin answered about weights, each "native", "pack" or "no".
struct WeightFormats {
  std::string i2s128, t2;          // the two ternary layouts; empty when the plugin has no table
  std::vector<std::string> dense;  // "f16", ...: embedding and head types it computes itself; others are the runtime's
  std::string problem;             // the device cannot be opened, or its tables are wrong; empty: none
};

struct BackendReport {
  const Plugin* plugin;  // of the registry, which must outlive the report
  WeightFormats formats;
  bool is_mock = false;     // marked wherever it is shown
  bool is_default = false;  // the first choice when nothing is asked for
};

std::vector<BackendReport> describe_backends(const Registry& registry);

// One line per usable plugin; their files, with when they were judged and what that cost; devices that are out of use; the
// files not used, each with verdict and reason; the folders searched. Ends with a newline.
std::string backends_text(const Registry& registry, const std::vector<BackendReport>& reports);
// {"schema": 1, "default": name or null, "plugins": [...], "directories": [...], "warnings": [...]} and a newline.
std::string backends_json(const Registry& registry, const std::vector<BackendReport>& reports);

// One line per device of a usable plugin. Ends with a newline.
std::string devices_text(const Registry& registry);
// {"schema": 1, "devices": [...]} and a newline.
std::string devices_json(const Registry& registry);

}  // namespace bitnet::backend
