// backend/scores.cpp - a short run of the real ops on synthetic weights, and the state file that makes it rare.
#include "backend/scores.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <exception>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/cpu_features.h"
#include "backend/device.h"
#include "backend/ops.h"
#include "base/sha256.h"
#include "base/state_file.h"

namespace bitnet::backend {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr double kSecondsEach = 0.005, kSecondsTogether = 0.025;
constexpr double kCallSeconds = 50e-6;  // shorter calls are repeated
constexpr uint64_t kMaxSampleBytes = 1 << 20;
constexpr size_t kMaxShapes = 8;
constexpr uint32_t kFirstRows = 64;
constexpr int64_t kCrashSeconds = 24 * 3600;
constexpr size_t kMaxRemembered = 256;
constexpr int kFillCodes = 0x19;  // codes 1, 2, 1, 0 in either 2-bit layout

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// CPU time of this thread.
double thread_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

uint64_t t2_bytes(uint64_t rows, uint32_t cols) { return rows * ((static_cast<uint64_t>(cols) + 3) / 4); }

// The shapes with most of the weights.
std::vector<MatrixShape> heaviest(std::vector<MatrixShape> shapes) {
  const auto weight = [](const MatrixShape& s) { return t2_bytes(s.rows, s.cols) * s.count; };
  std::stable_sort(shapes.begin(), shapes.end(),
                   [&](const MatrixShape& a, const MatrixShape& b) { return weight(a) > weight(b); });
  if (shapes.size() > kMaxShapes) shapes.resize(kMaxShapes);
  return shapes;
}

// One matrix shape on one device, the rows shared by all members of the team.
class ShapeRun {
 public:
  ShapeRun(Ops& ops, const MatrixShape& shape, const AlignedBuffer& codes) : ops_(ops) {
    bn_tensor& w = linear_.weight;
    w.struct_size = sizeof w;
    w.role = BN_T_ATTN_Q;
    w.dtype = BN_DT_TERNARY;
    w.rows = shape.rows;
    w.cols = shape.cols;
    w.n_scales = 1;
    w.scales = &scale_;
    w.format = shape.format;
    const int32_t answer = ops_.table().accepts(ops_.device(), &w);
    if (answer == BN_NO) {
      throw BackendError(BN_E_UNSUPPORTED, fmt::format("does not take matrices of {}x{}", w.rows, w.cols));
    }
    packs_ = answer == BN_PACK;
    max_rows_ = static_cast<uint32_t>(
        std::clamp<uint64_t>(std::min(kMaxSampleBytes, codes.size()) / t2_bytes(1, w.cols), 1, shape.rows));
    w.data = codes.data();
    stride_ = (w.cols + ops_.table().k_align - 1) / ops_.table().k_align * ops_.table().k_align;
    x_ = AlignedBuffer(stride_);
    std::memset(x_.data(), 0, stride_);
    for (uint32_t c = 0; c < w.cols; ++c) x_.as<int8_t>()[c] = static_cast<int8_t>(static_cast<int>(c % 251) - 125);
    for (uint32_t c = 0; c < w.cols; ++c) x_sum_ += x_.as<int8_t>()[c];
    y_ = AlignedBuffer(uint64_t{max_rows_} * sizeof(float));
    for (uint32_t i = 0; i < ops_.team().size(); ++i) scratch_.emplace_back(ops_.table().scratch_bytes);
  }
  ShapeRun(const ShapeRun&) = delete;
  ShapeRun& operator=(const ShapeRun&) = delete;

  // Bytes of packed weights per second, from the best of the calls that fit into `budget` seconds; two are always made.
  double bytes_per_second(double budget) {
    const Clock::time_point start = Clock::now();
    double best = 0;
    uint32_t rows = std::min(kFirstRows, max_rows_), repeats = 1;
    for (uint32_t calls = 1;; ++calls) {
      const Clock::time_point call = Clock::now();
      prepare(rows);
      const double seconds = std::max(multiply(repeats), 1e-9);
      best = std::max(best, static_cast<double>(t2_bytes(rows, linear_.weight.cols)) * repeats / seconds);
      const double left = budget - seconds_since(start), taken = seconds_since(call);
      if (calls > 1 && left < taken) return best;
      if (4 * taken > left) continue;
      if (rows < max_rows_) {
        rows = std::min(2 * rows, max_rows_);
      } else if (seconds < kCallSeconds) {
        repeats *= 2;
      }
    }
  }

 private:
  void prepare(uint32_t rows) {
    bn_tensor& w = linear_.weight;
    if (w.rows == rows && linear_.packed != nullptr) return;
    w.rows = rows;
    w.bytes = t2_bytes(rows, w.cols);
    linear_.packed = w.data;
    if (!packs_) return;
    bn_error error{};
    error.struct_size = sizeof error;
    bn_format layout{};
    layout.struct_size = sizeof layout;
    uint64_t bytes = 0;
    bn_status status = ops_.table().pack_size(ops_.device(), &w, &bytes, &layout, &error);
    if (status == BN_OK) {
      packed_ = AlignedBuffer(bytes);
      status = ops_.table().pack(ops_.device(), &w, 0, rows, packed_.data(), &error);
    }
    if (status != BN_OK) throw BackendError(status, error_text(status, error));
    linear_.packed = packed_.data();
  }

  // Seconds of CPU of the busiest member, each with its share of the rows. Not the time on the clock: a machine that is busy
  // with something else would decide by chance.
  double multiply(uint32_t repeats) {
    const bn_tensor& w = linear_.weight;
    const bn_matmul args{sizeof(bn_matmul), 1,       &w,       linear_.packed, x_.as<int8_t>(), &scale_, &x_sum_,
                         y_.as<float>(),    stride_, max_rows_};
    const uint32_t granules = (w.rows + granule() - 1) / granule(), members = ops_.team().size();
    std::atomic<bn_status> status{BN_OK};
    std::vector<double> seconds(members);
    ops_.team().run([&](uint32_t member) {
      const auto edge = [&](uint32_t m) {
        return std::min(static_cast<uint32_t>(uint64_t{granules} * m / members) * granule(), w.rows);
      };
      const uint32_t row0 = edge(member), row1 = edge(member + 1);
      const double start = thread_seconds();
      for (uint32_t i = 0; i < repeats && row0 < row1; ++i) {
        const bn_status s = ops_.table().matmul(ops_.device(), &args, row0, row1, scratch_[member].data());
        if (s != BN_OK) status = s;
      }
      seconds[member] = thread_seconds() - start;
    });
    if (status != BN_OK) {
      throw BackendError(status, fmt::format("{} in the measurement of its speed", status_name(status)));
    }
    return *std::max_element(seconds.begin(), seconds.end());
  }

  uint32_t granule() const { return ops_.table().row_granule; }

  Ops& ops_;
  Linear linear_{"measurement"};
  bool packs_ = false;
  float scale_ = 1.0f;
  int32_t x_sum_ = 0;
  uint32_t max_rows_ = 0, stride_ = 0;
  AlignedBuffer x_, y_, packed_;
  std::vector<AlignedBuffer> scratch_;  // one per member
};

// GB/s over all shapes as the model has them; 0 for a device without kernels.
double measure_device(const Plugin& plugin, const std::string& device_id, const std::vector<MatrixShape>& shapes,
                      ThreadTeam& team, const AlignedBuffer& codes, double budget) {
  const OpenDevice device(plugin, device_id);
  const bn_kernels_v1* table = device.kernels();
  if (table == nullptr) return 0;
  Ops ops(table, device.handle(), team);
  double bytes = 0, seconds = 0;
  for (const MatrixShape& shape : shapes) {
    const double size = static_cast<double>(t2_bytes(shape.rows, shape.cols)) * shape.count;
    seconds += size / ShapeRun(ops, shape, codes).bytes_per_second(budget / static_cast<double>(shapes.size()));
    bytes += size;
  }
  return 1e-9 * bytes / seconds;
}

// ---------------------------------------------------------------------------------------- what a score depends on

std::string cpu_text() {
  std::string text;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line) && !line.empty();) {  // the first processor
    for (const char* key :
         {"model name", "stepping", "microcode", "CPU implementer", "CPU part", "CPU variant", "CPU revision"}) {
      if (line.starts_with(key)) text += line + "\n";
    }
  }
  for (const std::string_view feature : known_cpu_features()) {
    if (cpu_has(feature).value_or(false)) text += fmt::format("{} ", feature);
  }
  return text;
}

std::string file_text(const Plugin& plugin) {
  const bool built_in = plugin.path.empty() || plugin.path.front() != '/';
  struct stat s {};
  if (::stat(built_in ? "/proc/self/exe" : plugin.path.c_str(), &s) != 0) return plugin.path;
  return fmt::format("{} {}:{} {} {}.{} {}.{}", plugin.path, s.st_dev, s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec,
                     s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
}

std::string key_of(const Plugin& plugin, const std::string& device, const std::vector<MatrixShape>& shapes, uint32_t threads) {
  std::string text =
      fmt::format("{}\n{} {} {}\n{}\nthreads {}\n", file_text(plugin), plugin.id, plugin.version, device, cpu_text(), threads);
  for (const MatrixShape& s : shapes) text += fmt::format("{} {}x{} {}\n", s.format->id, s.rows, s.cols, s.count);
  return sha256_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()}).substr(0, 32);
}

// ------------------------------------------------------------------------------------------------- the state file

struct Known {
  double gb_per_second = 0;
  int64_t at = 0;
  bool crashed = false;
};

// {"KEY": {"name": .., "gb_per_second": .., "at": ..}} or, while measuring, {"KEY": {.., "pid": .., "at": ..}}.
Known read_known(const json& entries, const std::string& key) {
  const auto at = entries.find(key);
  if (at == entries.end() || !at->is_object()) return {};
  const json when = at->value("at", json()), speed = at->value("gb_per_second", json()), pid = at->value("pid", json());
  if (!when.is_number_integer()) return {};
  Known known{0, when.get<int64_t>(), false};
  if (speed.is_number() && speed.get<double>() > 0) known.gb_per_second = speed.get<double>();
  if (pid.is_number_integer()) {
    const bool gone = ::kill(static_cast<pid_t>(pid.get<int64_t>()), 0) != 0 && errno == ESRCH;
    known.crashed = gone && std::time(nullptr) - known.at < kCrashSeconds;
  }
  return known;
}

void forget_oldest(json& entries) {
  const auto age = [](const json& e) { return e.is_object() ? e.value("at", json(0)) : json(0); };
  while (entries.size() > kMaxRemembered) {
    auto oldest = entries.begin();
    for (auto at = entries.begin(); at != entries.end(); ++at) {
      if (age(*at) < age(*oldest)) oldest = at;
    }
    entries.erase(oldest);
  }
}

void note(const StateFile& state, const std::string& key, const std::string& name, const char* field, const json& value) {
  state.update([&](json& entries) {
    entries[key] = {{"name", name}, {field, value}, {"at", static_cast<int64_t>(std::time(nullptr))}};
    forget_oldest(entries);
  });
}

class Measuring {
 public:
  Measuring(const Registry& registry, const std::vector<MatrixShape>& shapes, uint32_t threads)
      : registry_(registry), shapes_(heaviest(shapes)), threads_(threads), known_(state_.read()) {}

  Measured run(const std::vector<Candidate>& candidates) {
    for (const Candidate& c : candidates) {
      const Plugin& plugin = registry_.plugins()[c.plugin];
      const std::string key = key_of(plugin, c.device, shapes_, threads_);
      const Known known = read_known(known_, key);
      if (known.gb_per_second > 0 || known.crashed) {
        result_.scores.push_back({c.plugin, c.device, known.gb_per_second, known.at, known.crashed});
      } else {
        add(c, plugin, key, std::min(kSecondsEach, kSecondsTogether / static_cast<double>(candidates.size())));
      }
    }
    return std::move(result_);
  }

 private:
  void add(const Candidate& c, const Plugin& plugin, const std::string& key, double budget) {
    if (team_ == nullptr) {
      team_ = std::make_unique<ThreadTeam>(threads_);
      codes_ = AlignedBuffer(kMaxSampleBytes + t2_bytes(1, BN_K_MAX));
      std::memset(codes_.data(), kFillCodes, codes_.size());
    }
    note(state_, key, plugin.name, "pid", static_cast<int64_t>(::getpid()));
    try {
      const double speed = measure_device(plugin, c.device, shapes_, *team_, codes_, budget);
      result_.scores.push_back({c.plugin, c.device, speed, static_cast<int64_t>(std::time(nullptr)), false});
      note(state_, key, plugin.name, "gb_per_second", speed);
    } catch (const std::exception& e) {  // not remembered: a busy device may answer next time
      result_.refusals.push_back({c.plugin, c.device, e.what()});
      state_.update([&](json& entries) { entries.erase(key); });
    }
  }

  const Registry& registry_;
  const std::vector<MatrixShape> shapes_;
  const uint32_t threads_;
  const StateFile state_{"scores.json", 1};
  const json known_;
  std::unique_ptr<ThreadTeam> team_;
  AlignedBuffer codes_;
  Measured result_;
};

}  // namespace

Measured measure(const Registry& registry, const std::vector<Candidate>& candidates, const std::vector<MatrixShape>& shapes,
                 uint32_t threads) {
  return Measuring(registry, shapes, threads).run(candidates);
}

PolicyInput with_scores(PolicyInput input, const Registry& registry, const std::vector<MatrixShape>& shapes, uint32_t threads) {
  if (shapes.empty()) return input;
  const std::vector<Candidate> candidates = order_to_measure(input.plugins, input.requested, input.options);
  if (candidates.empty()) return input;
  Measured measured = measure(registry, candidates, shapes, threads);
  input.options.scores = std::move(measured.scores);
  input.options.refusals = std::move(measured.refusals);
  return input;
}

std::string age_text(int64_t measured_at) {
  const int64_t minutes = (static_cast<int64_t>(std::time(nullptr)) - measured_at) / 60;
  const auto ago = [](int64_t n, const char* unit) { return fmt::format("measured {} {}{} ago", n, unit, n == 1 ? "" : "s"); };
  if (minutes < 1) return "measured now";
  if (minutes < 120) return ago(minutes, "minute");
  if (minutes < 48 * 60) return ago(minutes / 60, "hour");
  return ago(minutes / (24 * 60), "day");
}

}  // namespace bitnet::backend
