// mock/wrap.cpp - option "wrap": another plugin's kernels behind the faults.
#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "bitnet/kit/portable.h"
#include "device.h"

namespace bn_mock {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw std::invalid_argument("option wrap: " + path + ": " + why);
}

// Never closed: threads and destructors of the file may outlive the device.
const bn_plugin& load_plugin(const std::string& path) {
  if (path.empty() || path.front() != '/') refuse(path, "expected an absolute path");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) refuse(path, dlerror());
  const auto entry = reinterpret_cast<bn_entry_fn>(dlsym(library, "bitnet_plugin_v1"));
  if (entry == nullptr) refuse(path, "exports no bitnet_plugin_v1");
  const bn_plugin* plugin = entry(BN_ABI_MINOR);
  if (plugin == nullptr) refuse(path, "needs a newer host");
  return *plugin;
}

// Ops the plugin lacks are the kit's, as the runtime would take them.
bn_kernels_v1 complete(const bn_kernels_v1& plugin) {
  const bn_kernels_v1& portable = *bn_portable_kernels();
  bn_kernels_v1 table{};
  std::memcpy(&table, &plugin, std::min<size_t>(plugin.struct_size, sizeof table));
  table.struct_size = sizeof table;
  if (table.dense == nullptr) table.dense = portable.dense, table.dense_dtypes = portable.dense_dtypes;
  if (table.norm == nullptr) table.norm = portable.norm;
  if (table.rope == nullptr) table.rope = portable.rope;
  if (table.attention == nullptr) table.attention = portable.attention;
  if (table.glu == nullptr) table.glu = portable.glu;
  table.scratch_bytes = std::max(table.scratch_bytes, portable.scratch_bytes);
  return table;
}

}  // namespace

void wrap_plugin(bn_device& d, const bn_host* host, const char* path, const char* options) {
  const bn_plugin& plugin = load_plugin(path);
  bn_device_info info{};
  bn_error error{};
  info.struct_size = sizeof info;
  error.struct_size = sizeof error;
  if (plugin.enumerate(host, 0, &info, &error) != BN_OK) refuse(path, "has no device: " + std::string(error.message));
  bn_device* inner = nullptr;
  if (plugin.open(host, info.id, options, &inner, &error) != BN_OK) refuse(path, "open: " + std::string(error.message));
  d.inner_device = inner;
  d.close_inner = plugin.close;
  const void* table = plugin.get_interface(inner, BN_KERNELS_ID);
  if (table == nullptr) refuse(path, "offers no bn.kernels/1");
  d.inner = complete(*static_cast<const bn_kernels_v1*>(table));
}

}  // namespace bn_mock
