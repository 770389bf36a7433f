// backend/device.cpp - open, close, and the checks of a plugin's tables before anyone calls through them.
#include "backend/device.h"

#include <cstring>
#include <utility>

#include "base/error.h"

namespace bitnet::backend {
namespace {

// Smallest legal sizes: the tables up to their last required function.
constexpr uint32_t kKernelsMinSize = 56;
constexpr uint32_t kEngineMinSize = 88;

[[noreturn]] void refuse_table(const std::string& plugin, const char* table, const std::string& what) {
  throw BackendError(BN_E_INTERNAL, fmt::format("plugin {}: its table {} {}", plugin, table, what));
}

}  // namespace

OpenDevice::OpenDevice(const Plugin& plugin, std::string_view device_id, const std::string& options_json)
    : plugin_name_(plugin.name), id_(device_id) {
  try {
    table_ = plugin.load().table;
  } catch (const Error& error) {
    throw BackendError(BN_E_UNSUPPORTED, fmt::format("plugin {}: {}", plugin.name, error.what()));
  }
  bn_error error{};
  error.struct_size = sizeof error;
  bn_status status = BN_OK;
  try {
    status = table_->open(plugin.host(), id_.c_str(), options_json.empty() ? nullptr : options_json.c_str(), &device_, &error);
  } catch (...) {
    throw BackendError(BN_E_INTERNAL,
                       fmt::format("plugin {}: open threw an exception across the plugin boundary", plugin_name_));
  }
  if (status != BN_OK) {
    device_ = nullptr;
    throw BackendError(status, fmt::format("plugin {}: device {} cannot be opened: {}", plugin_name_, printable(id_),
                                           error_text(status, error)));
  }
  if (device_ == nullptr) {
    throw BackendError(BN_E_INTERNAL, fmt::format("plugin {}: open succeeded without a device", plugin_name_));
  }
}

OpenDevice::~OpenDevice() {
  if (device_ != nullptr) table_->close(device_);
}

OpenDevice::OpenDevice(OpenDevice&& other) noexcept
    : table_(other.table_),
      device_(std::exchange(other.device_, nullptr)),
      plugin_name_(std::move(other.plugin_name_)),
      id_(std::move(other.id_)) {}

OpenDevice& OpenDevice::operator=(OpenDevice&& other) noexcept {
  std::swap(table_, other.table_);
  std::swap(device_, other.device_);
  plugin_name_.swap(other.plugin_name_);
  id_.swap(other.id_);
  return *this;
}

const bn_kernels_v1* OpenDevice::kernels() const {
  const auto* k =
      device_ == nullptr ? nullptr : static_cast<const bn_kernels_v1*>(table_->get_interface(device_, BN_KERNELS_ID));
  if (k == nullptr) return nullptr;
  const auto refuse = [&](const std::string& what) { refuse_table(plugin_name_, BN_KERNELS_ID, what); };
  if (k->struct_size < kKernelsMinSize) {
    refuse(fmt::format("has struct_size {}, at least {} are required", k->struct_size, kKernelsMinSize));
  }
  if (k->accepts == nullptr || k->pack_size == nullptr || k->pack == nullptr || k->matmul == nullptr) {
    refuse("lacks a required function (accepts, pack_size, pack, matmul)");
  }
  if (k->numerics != BN_EXACT_1 && k->numerics != BN_APPROX_1) refuse(fmt::format("has unknown numerics {}", k->numerics));
  if (k->row_granule == 0) refuse("has row_granule 0");
  if (k->k_align == 0 || k->k_align > 256) refuse(fmt::format("has k_align {}, expected 1 to 256", k->k_align));
  return k;
}

const bn_engine_v1* OpenDevice::engine() const {
  const auto* e = device_ == nullptr ? nullptr : static_cast<const bn_engine_v1*>(table_->get_interface(device_, BN_ENGINE_ID));
  if (e == nullptr) return nullptr;
  const auto refuse = [&](const std::string& what) { refuse_table(plugin_name_, BN_ENGINE_ID, what); };
  if (e->struct_size < kEngineMinSize) {
    refuse(fmt::format("has struct_size {}, at least {} are required", e->struct_size, kEngineMinSize));
  }
  if (e->load == nullptr || e->unload == nullptr || e->session_create == nullptr || e->session_destroy == nullptr ||
      e->append == nullptr || e->truncate == nullptr) {
    refuse("lacks a required function (load, unload, session_create, session_destroy, append, truncate)");
  }
  if (e->numerics != BN_EXACT_1 && e->numerics != BN_APPROX_1) refuse(fmt::format("has unknown numerics {}", e->numerics));
  return e;
}

const void* OpenDevice::interface(const char* id) const {
  return device_ == nullptr ? nullptr : table_->get_interface(device_, id);
}

}  // namespace bitnet::backend
