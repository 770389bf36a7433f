// kernel/plugin_under_test.cpp - see plugin_under_test.h.
#include "kernel/plugin_under_test.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cfenv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

namespace bitnet::kernel_test {
namespace {

namespace fs = std::filesystem;

// Sends stdout to memory while it lives.
class StdoutWatch {
 public:
  StdoutWatch() : memory_(memfd_create("stdout", 0)) {
    std::fflush(stdout);
    saved_ = dup(STDOUT_FILENO);
    dup2(memory_, STDOUT_FILENO);
  }
  ~StdoutWatch() {
    restore();
    close(memory_);
  }
  // Ends the watch; what was written meanwhile.
  std::string finish() {
    restore();
    std::string text(static_cast<size_t>(lseek(memory_, 0, SEEK_END)), '\0');
    const ssize_t n = pread(memory_, text.data(), text.size(), 0);
    text.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return text;
  }

 private:
  void restore() {
    if (saved_ < 0) return;
    std::fflush(stdout);
    dup2(saved_, STDOUT_FILENO);
    close(saved_);
    saved_ = -1;
  }
  int memory_, saved_;
};

bn_host make_host(const std::string& path) {
  bn_host host = {};
  host.struct_size = sizeof host;
  host.abi_minor = BN_ABI_MINOR;
  host.log = [](void*, int32_t, const char*, uint64_t) {};
  host.alloc = [](void*, uint64_t bytes, uint64_t align) {
    return std::aligned_alloc(align, (bytes + align - 1) / align * align);
  };
  host.release = [](void*, void* p) { std::free(p); };
  host.parallel_for = [](void*, uint32_t n, void (*fn)(void*, uint32_t), void* arg) {
    for (uint32_t i = 0; i < n; ++i) fn(arg, i);
  };
  host.get_interface = [](void*, const char*) -> const void* { return nullptr; };
  host.plugin_path = path.c_str();
  return host;
}

// Fills p from its path; a refusal is noted in failure or no_device.
void open_first_device(Plugin& p) {
  void* library = dlopen(p.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    p.failure = dlerror();
    return;
  }
  const auto entry = reinterpret_cast<bn_entry_fn>(dlsym(library, "bitnet_plugin_v1"));
  if (entry == nullptr || (p.table = entry(BN_ABI_MINOR)) == nullptr) {
    p.failure = "no bitnet_plugin_v1, or it returned NULL";
    return;
  }
  static std::map<std::string, bn_host> hosts;  // must outlive the device
  const bn_host* host = &hosts.emplace(p.path, make_host(p.path)).first->second;
  bn_error error = {};
  error.struct_size = sizeof error;
  bn_device_info info = {};
  info.struct_size = sizeof info;
  if (const bn_status status = p.table->enumerate(host, 0, &info, &error); status != BN_OK) {
    (status == BN_E_UNSUPPORTED ? p.no_device : p.failure) = std::string("enumerate: ") + error.message;
    return;
  }
  if (p.table->open(host, info.id, nullptr, &p.device, &error) != BN_OK) {
    p.failure = std::string("open: ") + error.message;
    return;
  }
  p.kernels = static_cast<const bn_kernels_v1*>(p.table->get_interface(p.device, BN_KERNELS_ID));
  if (p.kernels == nullptr) p.failure = "it does not offer " BN_KERNELS_ID;
}

}  // namespace

std::vector<std::string> plugins_to_judge() {
  if (const char* file = std::getenv("BITNET_PLUGIN_FILE")) return {fs::absolute(file).string()};
  const fs::path folder = BITNET_PLUGIN_DIR;
  std::set<std::string> paths;
  std::string required = BITNET_REQUIRED_PLUGINS;  // names separated by commas
  for (size_t begin = 0; begin < required.size();) {
    const size_t end = std::min(required.find(',', begin), required.size());
    paths.insert((folder / (required.substr(begin, end - begin) + ".so")).string());
    begin = end + 1;
  }
  std::error_code ignored;
  for (const fs::directory_entry& file : fs::directory_iterator(folder, ignored)) {
    const std::string name = file.path().filename().string();
    if (name.starts_with("bn_") && name.ends_with(".so") && name != "bn_mock.so") paths.insert(file.path().string());
  }
  return {paths.begin(), paths.end()};
}

const Plugin& load_plugin(const std::string& path) {
  static std::map<std::string, Plugin> loaded;
  const auto [at, is_new] = loaded.try_emplace(path);
  Plugin& p = at->second;
  if (is_new) {
    p.path = path;
    StdoutWatch watch;
    open_first_device(p);
    p.printed = watch.finish();
  }
  return p;
}

std::string plugin_test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = fs::path(info.param).stem().string();
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

std::vector<std::vector<Range>> ways_to_cut(uint32_t n, uint32_t granule) {
  std::vector<std::vector<Range>> ways = {{{0, n}}};
  if (n <= granule) return ways;
  std::vector<Range> single, uneven;
  for (uint32_t r = 0; r < n; r += granule) single.emplace_back(r, std::min(n, r + granule));
  uint32_t step = 1;
  for (uint32_t r = 0; r < n; step = step % 3 + 1) {
    const uint32_t end = std::min(n, r + step * granule);
    uneven.emplace_back(r, end);
    r = end;
  }
  ways.push_back(single);
  ways.push_back(uneven);
  ways.push_back({single[single.size() / 2]});
  ways.push_back({single.back()});
  return ways;
}

void KernelTest::SetUp() {
  plugin_ = &load_plugin(GetParam());
  ASSERT_EQ(plugin_->failure, "") << GetParam();
  if (!plugin_->no_device.empty()) GTEST_SKIP() << "no device on this machine: " << plugin_->no_device;
  ASSERT_EQ(plugin_->kernels->numerics, static_cast<uint32_t>(BN_EXACT_1)) << "this suite compares bits: exact-1 only";
}

void KernelTest::TearDown() {
  EXPECT_EQ(std::fegetround(), FE_TONEAREST) << "rounding mode changed";
  volatile float smallest_normal = 0x1p-126f;
  EXPECT_NE(smallest_normal * 0.5f, 0.0f) << "subnormals are flushed to zero since the plugin ran";
}

void KernelTest::quietly(const std::function<void()>& calls) const {
  StdoutWatch watch;
  calls();
  EXPECT_EQ(watch.finish(), "") << "the plugin wrote to stdout";
}

std::unique_ptr<GuardedBytes> KernelTest::scratch(Edge edge) const {
  auto memory = std::make_unique<GuardedBytes>(plugin().scratch_bytes, edge, 64);
  std::memset(memory->data(), 0xFF, memory->size());
  return memory;
}

}  // namespace bitnet::kernel_test
