// bench/end_to_end.h - times a whole model on one backend, with the machine's ceilings measured in between.
//
// One repetition is: ceilings, a prompt of random tokens on a new session (pp), tokens sampled one by one behind a short prompt
// on another (tg), as bitnet-run samples them by default. A disturbance of the machine therefore meets all three, and shares of
// the ceiling are taken within a repetition. Errors  as model::Model and engine::Session; Error{kFailure} when two repetitions
// end with different logits. Threads one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitnet.h"
#include "ceilings.h"
#include "workload.h"

namespace bitnet::bench {

struct EndToEndOptions {
  std::string backend = "cpu_avx2";  // this one or an error
  uint32_t threads = 1;
  uint32_t n_prompt = 512, n_generate = 128;  // 0: test left out
  uint32_t repetitions = 3;
  uint32_t top_k = 40;  // of tg; 1: greedy
  model::HeadMode head = model::HeadMode::kAuto;
};

// A test in all repetitions; vectors run over repetitions.
struct TestResult {
  uint32_t n_tokens = 0;
  std::vector<double> tokens_per_second;
  std::vector<double> step_seconds;  // of every single step; only tg has more than one per repetition
  std::string logits_sha256;         // of the last token
  model::HeadUse head;               // of one repetition
};

struct EndToEndResult {
  TestResult prompt, generate;
  std::vector<Ceilings> ceilings;
  std::vector<double> load_seconds;  // Session, backend loaded and weights prepared
  Workload workload;
  uint64_t peak_rss = 0, kv_bytes = 0;  // bytes; before the first ceilings, whose buffer would count as well; 0: unknown
};

// Tokens in front of those that tg times.
inline constexpr uint32_t kShortPrompt = 16;

EndToEndResult run_end_to_end(const model::Model& model, const backend::Registry& registry, const EndToEndOptions& options);

double median(std::vector<double> values);  // 0 of none

}  // namespace bitnet::bench
