// gpu/faulty_gpu.cpp - counts calls, returns codes.
#include "faulty_gpu.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <stdexcept>

#include "errors.h"

namespace bn_cuda {
namespace {

std::atomic<uint64_t> after_loss{0};

template <class T>
T read_number(const std::string& rule, const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || value == T{}) {
    throw std::invalid_argument("fault rule '" + rule + "': expected [CALL:]N:CODE or [CALL:]N:hang, found '" + text +
                                "' where a number above 0 should be");
  }
  return value;
}

FaultRule parse_rule(const std::string& rule) {
  std::vector<std::string> parts(1);
  for (const char c : rule) {
    if (c == ':') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  FaultRule r;
  if (parts.size() == 3) {
    r.call = parts[0];
    parts.erase(parts.begin());
  }
  if (parts.size() != 2) throw std::invalid_argument("fault rule '" + rule + "': expected [CALL:]N:CODE or [CALL:]N:hang");
  r.at = read_number<uint64_t>(rule, parts[0]);
  r.code = parts[1] == "hang" ? kHung : read_number<int>(rule, parts[1]);
  return r;
}

}  // namespace

std::vector<FaultRule> parse_gpu_faults(const std::string& script) {
  std::vector<FaultRule> rules;
  size_t begin = 0;
  while (begin < script.size()) {
    const size_t end = std::min(script.find(',', begin), script.size());
    rules.push_back(parse_rule(script.substr(begin, end - begin)));
    begin = end + 1;
  }
  return rules;
}

FaultyGpu::FaultyGpu(std::unique_ptr<Gpu> inner, std::vector<FaultRule> rules) : inner_(std::move(inner)) {
  for (FaultRule& rule : rules) rules_.push_back({std::move(rule), 0});
}

// Of a lost device the objects below are left alone, as with a real one: kept for ever, so that no leak check minds.
FaultyGpu::~FaultyGpu() {
  static auto& kept = *new std::vector<std::unique_ptr<Gpu>>;
  if (lost_ != 0 || hangs_) kept.push_back(std::move(inner_));
}

uint64_t FaultyGpu::calls_after_loss() { return after_loss.load(); }

int FaultyGpu::judge(const char* call) {
  ++n_calls_;
  if (lost_ != 0) {
    ++after_loss;
    return lost_;
  }
  for (Rule& rule : rules_) {
    if ((!rule.call.empty() && rule.call != call) || ++rule.seen != rule.at) continue;
    if (rule.code == kHung) {
      hangs_ = true;
      continue;
    }
    if (trouble_of(rule.code) == Trouble::kLost) lost_ = rule.code;
    return rule.code;
  }
  return 0;
}

int FaultyGpu::memory(uint64_t* free_bytes, uint64_t* total_bytes) {
  const int code = judge("memory");
  return code != 0 ? code : inner_->memory(free_bytes, total_bytes);
}
int FaultyGpu::allocate(void** p, uint64_t bytes) {
  const int code = judge("allocate");
  return code != 0 ? code : inner_->allocate(p, bytes);
}
int FaultyGpu::release(void* p) {
  const int code = judge("release");
  return code != 0 || hangs_ ? code : inner_->release(p);
}
int FaultyGpu::allocate_host(void** p, void** device_view, uint64_t bytes) {
  const int code = judge("allocate_host");
  return code != 0 ? code : inner_->allocate_host(p, device_view, bytes);
}
int FaultyGpu::release_host(void* p) {
  const int code = judge("release_host");
  return code != 0 || hangs_ ? code : inner_->release_host(p);
}
int FaultyGpu::upload(void* device, const void* host, uint64_t bytes) {
  const int code = judge("upload");
  return code != 0 || hangs_ ? code : inner_->upload(device, host, bytes);
}
int FaultyGpu::download(void* host, const void* device, uint64_t bytes) {
  const int code = judge("download");
  return code != 0 || hangs_ ? code : inner_->download(host, device, bytes);
}
int FaultyGpu::copy(void* to, const void* from, uint64_t bytes) {
  const int code = judge("copy");
  return code != 0 || hangs_ ? code : inner_->copy(to, from, bytes);
}
int FaultyGpu::fill(void* device, uint8_t byte, uint64_t bytes) {
  const int code = judge("fill");
  return code != 0 || hangs_ ? code : inner_->fill(device, byte, bytes);
}
int FaultyGpu::launch(const Kernel& kernel, const Shape& shape, const void* args, bool early) {
  const int code = judge("launch");
  return code != 0 || hangs_ ? code : inner_->launch(kernel, shape, args, early);
}
int FaultyGpu::begin_graph() {
  const int code = judge("begin_graph");
  return code != 0 ? code : inner_->begin_graph();
}
int FaultyGpu::end_graph(void** graph) {
  const int code = judge("end_graph");
  if (code != 0) {  // a capture that failed is over, too
    void* unused = nullptr;
    if (lost_ == 0 && inner_->end_graph(&unused) == 0) inner_->release_graph(unused);
    return code;
  }
  return inner_->end_graph(graph);
}
int FaultyGpu::launch_graph(void* graph) {
  const int code = judge("launch_graph");
  return code != 0 || hangs_ ? code : inner_->launch_graph(graph);
}
int FaultyGpu::release_graph(void* graph) {
  const int code = judge("release_graph");
  return code != 0 || hangs_ ? code : inner_->release_graph(graph);
}
int FaultyGpu::record(uint32_t mark) {
  const int code = judge("record");
  return code != 0 || hangs_ ? code : inner_->record(mark);
}
int FaultyGpu::reached(uint32_t mark, bool* yes) {
  const int code = judge("reached");
  if (code == 0 && !hangs_) return inner_->reached(mark, yes);
  *yes = false;
  return code;
}
int FaultyGpu::milliseconds(uint32_t from, uint32_t to, float* ms) {
  const int code = judge("milliseconds");
  return code != 0 ? code : inner_->milliseconds(from, to, ms);
}

}  // namespace bn_cuda
