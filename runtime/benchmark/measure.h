// benchmark/measure.h - times one test of one backend: a row of the table.
//
// A repetition begins with the ceilings, so that a disturbance of the machine meets both. Not in the timed part: opening the
// model, loading the backend, the tokens that make the depth, choosing tokens (they are fixed numbers), hashing.
// Errors  Error{kInterrupted} when stopped; Error{kFailure} when two repetitions end with different logits; Error{kUsage} for a
//         test that does not fit the model. What only concerns the backend makes a row that is not measured.
// Threads one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "benchmark/ceilings.h"
#include "benchmark/workload.h"
#include "engine/session.h"

namespace bitnet::benchmark {

// Tokens: a prompt at once, then single ones, behind `depth` tokens that are there already. In parallel: so many sequences,
// each with these tokens and a step together; only without a prompt.
struct Test {
  uint32_t prompt = 0, generate = 0, depth = 0, parallel = 1;

  std::string name() const;  // "pp512", "tg128", "pp512+tg128", "tg128 x 4", "tg128 @ d4000"
  uint32_t tokens() const { return (prompt + generate) * parallel; }  // of all sequences
};

struct Setup {
  std::string label;                    // how the user named the backend, for rows that are not measured
  uint32_t threads = 1;                 // of the backend and of the ceilings
  uint32_t batch = 2048, ubatch = 512;  // prompt tokens of one call, of one step
  uint32_t kv_dtype = BN_DT_F32;        // or BN_DT_F16
  uint32_t repetitions = 5;
  bool warm_up = true;             // the test once before it counts, at most 8 single tokens of it
  double delay = 0;                // seconds to rest before each repetition
  engine::SessionOptions session;  // what the user chose besides; threads, context and the above are set here
};

struct Row {
  std::string backend, version, device, numerics;  // of the plugin; only `backend` (the label) when nothing could be loaded
  std::string kind;                                // of the manifest: "cpu", "gpu", ...
  bool mock = false;
  Test test;
  uint32_t threads = 0, batch = 0, ubatch = 0, kv_dtype = 0;
  std::string not_measured;  // why; empty: measured

  // One entry per repetition.
  std::vector<double> seconds;
  std::vector<double> first_token;         // seconds from the prompt to its logits; empty without a prompt
  std::vector<std::vector<double>> steps;  // seconds of every single token; empty without such
  std::vector<Ceilings> tries;

  double load_seconds = 0, pack_seconds = 0;  // of the backend
  uint64_t peak_rss = 0, kv_bytes = 0;        // bytes; mapped pages of the model included; 0: unknown
  std::string logits_sha256;                  // of the last token's logits, f32
  engine::EngineInfo matrices;                // how the backend took them

  Ceilings ceilings;         // the best of `tries`
  std::string instruction;   // that bounds int8 products of this backend, empty: unknown
  Work work;                 // of the whole test, what it needs at least
  double least_seconds = 0;  // that the ceilings allow; 0: unknown
  std::string bound;         // "read" or the instruction: which of both takes the larger part; empty: unknown
  std::string no_bound;      // why it is unknown

  std::vector<double> tokens_per_second() const;
  double share() const;  // least_seconds / median of seconds; 0: unknown
};

// The first n of a fixed sequence: a longer list begins with the shorter one.
std::vector<int32_t> test_tokens(uint32_t n, uint32_t n_vocab);

// Runs strictly on the first candidate of the order. `ceilings`: made for setup.threads. cache_bytes: of the machine's last
// level; a model that fits has no read ceiling. 0: unknown.
Row measure(const model::Model& model, const backend::Registry& registry, const backend::Order& order, const Setup& setup,
            const Test& test, CeilingProbe& ceilings, uint64_t cache_bytes);

// A row with a reason instead of numbers.
Row not_measured(const Setup& setup, const Test& test, const std::string& reason);

}  // namespace bitnet::benchmark
