// conformance/subject.cpp - see subject.h.
#include "subject.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "check.h"

namespace bitnet::conformance {

bn_error fresh_error() {
  bn_error error = {};
  error.struct_size = sizeof error;
  return error;
}

Host::Host(const std::string& plugin_path) : path_(plugin_path) {
  host_.struct_size = sizeof host_;
  host_.abi_minor = BN_ABI_MINOR;
  host_.ctx = this;
  host_.log = [](void*, int32_t, const char*, uint64_t) {};
  host_.alloc = [](void* self, uint64_t bytes, uint64_t align) {
    void* p = std::aligned_alloc(align, (bytes + align - 1) / align * align);
    if (p != nullptr) ++static_cast<Host*>(self)->living_;
    return p;
  };
  host_.release = [](void* self, void* p) {
    if (p != nullptr) --static_cast<Host*>(self)->living_;
    std::free(p);
  };
  host_.parallel_for = [](void*, uint32_t n, void (*fn)(void*, uint32_t), void* arg) {
    for (uint32_t i = n; i > 0; --i) fn(arg, i - 1);
  };
  host_.get_interface = [](void*, const char*) -> const void* { return nullptr; };
  host_.plugin_path = path_.c_str();
}

const bn_plugin* load_plugin(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail(say("the dynamic linker refuses it: %s", dlerror()), "a plugin is one loadable shared library");
  const auto entry = reinterpret_cast<bn_entry_fn>(dlsym(library, "bitnet_plugin_v1"));
  if (entry == nullptr) fail("it does not export bitnet_plugin_v1", rule::kOneExport);
  const bn_plugin* table = entry(BN_ABI_MINOR);
  if (table == nullptr) fail(say("bitnet_plugin_v1(%u) returned NULL: the plugin needs a newer host", BN_ABI_MINOR));
  return table;
}

Subject::Subject(const Request& request) : request_(request), host_(request.path) {}

const bn_plugin& Subject::plugin() {
  if (plugin_ == nullptr) plugin_ = load_plugin(request_.path);
  return *plugin_;
}

const std::string& Subject::device_id() {
  if (!device_id_.empty()) return device_id_;
  bn_device_info info = {};
  info.struct_size = sizeof info;
  bn_error error = fresh_error();
  const bn_status status = plugin().enumerate(host_.get(), 0, &info, &error);
  if (status == BN_E_UNSUPPORTED) throw NotApplicable{say("no device on this machine: %.240s", error.message), true};
  expect_ok(status, "enumerate(0)", &error);
  device_id_ = request_.device.empty() ? info.id : request_.device;
  return device_id_;
}

bn_device* Subject::device() {
  if (device_ != nullptr) return device_;
  bn_error error = fresh_error();
  const std::string& id = device_id();
  expect_ok(plugin().open(host_.get(), id.c_str(), options(), &device_, &error), "open", &error);
  expect(device_ != nullptr, "open answered BN_OK and no device");
  return device_;
}

bool Subject::offers(const char* interface_id) { return plugin().get_interface(device(), interface_id) != nullptr; }

const bn_kernels_v1& Subject::kernels() {
  if (kernels_ == nullptr) kernels_ = static_cast<const bn_kernels_v1*>(plugin().get_interface(device(), BN_KERNELS_ID));
  if (kernels_ == nullptr) throw NotApplicable{"tier " BN_KERNELS_ID " is not offered"};
  return *kernels_;
}

const bn_engine_v1& Subject::engine() {
  if (engine_ == nullptr) engine_ = static_cast<const bn_engine_v1*>(plugin().get_interface(device(), BN_ENGINE_ID));
  if (engine_ == nullptr) throw NotApplicable{"tier " BN_ENGINE_ID " is not offered"};
  return *engine_;
}

std::unique_ptr<GuardedBytes> Subject::scratch(Edge edge, uint8_t content) {
  auto memory = std::make_unique<GuardedBytes>("scratch", kernels().scratch_bytes, edge, 64);
  std::memset(memory->data(), content, memory->size());
  return memory;
}

}  // namespace bitnet::conformance
