// benchmark/ceilings.h - what this machine can do at best with some threads: the numbers that rows are judged against.
//
// A shared machine can only be too slow, so a ceiling is the best of many short tries; tries are made between the runs they
// are to judge, so that both meet the same neighbours.
// How far below the best the median pass is says how much of it the machine had to give while the rows were measured.
//  read  all threads read 32 MB each (at most 64 MB together) that no cache holds, from huge pages where the kernel gives them,
//        by every read probe of probes.h; the best probe counts.
//  dot   every instruction that multiplies int8 here, from registers, on all threads at once.
// Threads  one at a time; an object starts threads of its own, which sleep between tries.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_team.h"

namespace bitnet::benchmark {

// 1e9 int8 multiply-accumulates per second of one instruction.
struct DotRate {
  std::string name;  // "maddubs", "vnni256", "vnni512"
  double gmacs = 0;
};

struct Ceilings {
  uint32_t threads = 0;
  double read_gbps = 0;    // 1e9 bytes per second; 0: not measured
  std::string read_probe;  // the one that was fastest
  std::vector<DotRate> dots;
  std::vector<double> read_passes;  // GB/s of every pass of the probe with the best median, try by try

  // 0 for an instruction that was not measured, and for the empty name.
  double gmacs_of(std::string_view name) const;
  // Takes the better of both, rate by rate, and the passes of both.
  void raise(const Ceilings& other);
};

class CeilingProbe {
 public:
  explicit CeilingProbe(uint32_t threads);

  // Some 0.2 s and 256 MB of memory, which is given back. Memory that is not to be had: nothing is read, read_gbps stays 0.
  Ceilings try_once();

 private:
  void read(Ceilings& found);
  void multiply(Ceilings& found);
  // Seconds that f(member) takes on all threads at once, from the first start to the last end, after prepare(member).
  template <class Prepare, class F>
  double seconds_of(Prepare&& prepare, F&& f);

  ThreadTeam team_;
};

// The instruction a backend's int8 products are to be judged by: the strongest one that its manifest requires of the CPU or the
// name of its device mentions (AVX2, AVX-VNNI, AVX512-VNNI), if this CPU has it. Empty: none known.
std::string_view instruction_of(const std::vector<std::string>& required_features, std::string_view device_name);

}  // namespace bitnet::benchmark
