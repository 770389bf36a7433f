// backend/host_services.h - what the runtime offers to a plugin through the table bn_host: log, memory, threads.
//
// One object per plugin file; the plugin may keep the table, so it lives until the process ends (see registry.cpp).
// Errors   none: the functions of the table never throw; alloc answers NULL when memory is out.
// Threads  every function of the table may be called from any thread.
#pragma once

#include <string>

#include "bitnet/plugin.h"

namespace bitnet::backend {

class HostServices {
 public:
  // name: the plugin's, put before its log lines. path: absolute, of its file.
  HostServices(std::string name, std::string path);
  HostServices(const HostServices&) = delete;
  HostServices& operator=(const HostServices&) = delete;

  const bn_host* table() const { return &table_; }
  const std::string& name() const { return name_; }

 private:
  std::string name_, path_;
  bn_host table_{};
};

}  // namespace bitnet::backend
