// benchmark/results_json.cpp - results as JSON.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "benchmark/results.h"
#include "benchmark/statistics.h"

namespace bitnet::benchmark {
namespace {

using nlohmann::json;

json known(double value) { return value > 0 ? json(value) : json(nullptr); }
json known(uint64_t value) { return value > 0 ? json(value) : json(nullptr); }
json known(const std::string& value) { return value.empty() ? json(nullptr) : json(value); }

const char* kv_name(uint32_t dtype) { return dtype == BN_DT_F16 ? "f16" : "f32"; }

std::vector<double> all_steps(const Row& row) {
  std::vector<double> all;
  for (const auto& steps : row.steps) all.insert(all.end(), steps.begin(), steps.end());
  return all;
}

json in_ns(double seconds) { return static_cast<int64_t>(1e9 * seconds + 0.5); }

json samples_ns(const std::vector<double>& seconds) {
  json out = json::array();
  for (const double s : seconds) out.push_back(in_ns(s));
  return out;
}

json ceilings_json(const Ceilings& c) {
  json dots = json::object();
  for (const DotRate& dot : c.dots) dots[dot.name] = dot.gmacs;
  return {{"threads", c.threads},
          {"read_gbps", known(c.read_gbps)},
          {"read_median_gbps", known(median(c.read_passes))},
          {"read_probe", known(c.read_probe)},
          {"gmacs", dots}};
}

// What the row was asked to do.
json setup_json(const Results& results, const Row& row) {
  return {{"id", row_id(row)},
          {"test", row.test.name()},
          {"build_commit", results.build.commit},
          {"cpu_info", results.machine.cpu},
          {"gpu_info", ""},
          {"backends", row.backend},
          {"backend_version", known(row.version)},
          {"device", known(row.device)},
          {"numerics", known(row.numerics)},
          {"provider", row.mock ? "mock" : "real"},
          {"mock", row.mock},
          {"model_filename", results.model.path},
          {"model_type", results.model.type},
          {"model_size", results.model.bytes},
          {"model_n_params", results.model.parameters},
          {"n_batch", row.batch},
          {"n_ubatch", row.ubatch},
          {"n_threads", row.threads},
          {"type_k", kv_name(row.kv_dtype)},
          {"type_v", kv_name(row.kv_dtype)},
          {"n_prompt", row.test.prompt},
          {"n_gen", row.test.generate},
          {"n_depth", row.test.depth},
          {"n_parallel", row.test.parallel},
          {"test_time", results.time},
          {"measured", row.not_measured.empty()},
          {"reason", known(row.not_measured)}};
}

void add_times(const Row& row, json& j) {
  const std::vector<double> rates = row.tokens_per_second();
  j["avg_ns"] = in_ns(mean(row.seconds));
  j["stddev_ns"] = in_ns(deviation(row.seconds));
  j["avg_ts"] = mean(rates);
  j["stddev_ts"] = deviation(rates);
  j["samples_ns"] = samples_ns(row.seconds);
  j["samples_ts"] = rates;
  j["median_ts"] = median(rates);
  j["min_ts"] = *std::min_element(rates.begin(), rates.end());
  j["max_ts"] = *std::max_element(rates.begin(), rates.end());
  j["first_token_ns"] = row.first_token.empty() ? json(nullptr) : in_ns(median(row.first_token));
  j["samples_first_token_ns"] = samples_ns(row.first_token);
  const std::vector<double> steps = all_steps(row);
  j["step_p50_ns"] = steps.empty() ? json(nullptr) : in_ns(quantile(steps, 0.5));
  j["step_p95_ns"] = steps.empty() ? json(nullptr) : in_ns(quantile(steps, 0.95));
  j["samples_step_ns"] = json::array();
  for (const auto& repetition : row.steps) j["samples_step_ns"].push_back(samples_ns(repetition));
}

void add_work(const Row& row, json& j) {
  const double seconds = median(row.seconds);
  j["bytes"] = row.work.bytes;
  j["macs"] = row.work.macs;
  j["gb_per_second"] = 1e-9 * row.work.bytes / seconds;
  j["gmac_per_second"] = 1e-9 * row.work.macs / seconds;
  j["instruction"] = known(row.instruction);
  j["ceiling"] = known(row.bound);
  j["ceiling_ts"] = row.least_seconds > 0 ? json(row.test.tokens() / row.least_seconds) : json(nullptr);
  j["ceiling_share"] = known(row.share());
  j["ceiling_unknown"] = known(row.no_bound);
  j["ceilings"] = ceilings_json(row.ceilings);
  j["samples_ceilings"] = json::array();
  for (const Ceilings& c : row.tries) j["samples_ceilings"].push_back(ceilings_json(c));
  j["load_seconds"] = row.load_seconds;
  j["pack_seconds"] = row.pack_seconds;
  j["peak_rss"] = known(row.peak_rss);
  j["device_memory"] = nullptr;
  j["kv_cache"] = known(row.kv_bytes);
  j["matrices"] = {{"native", row.matrices.n_native},
                   {"packed", row.matrices.n_packed},
                   {"converted", row.matrices.n_converted},
                   {"cached", row.matrices.n_cached}};
  const model::HeadUse& head = row.matrices.head;
  j["head"] = {{"screen_bytes", head.screen_bytes},
               {"screened_tokens", head.screened},
               {"candidates", head.candidates},
               {"most_candidates", head.most_candidates},
               {"full_instead", head.fell_back}};
  j["logits_hash"] = "sha256:" + row.logits_sha256;
}

json machine_json(const Machine& m) {
  return {{"cpu", m.cpu},
          {"cores", m.cores},
          {"governor", known(m.governor)},
          {"smt", m.smt ? json(*m.smt) : json(nullptr)},
          {"numa_nodes", m.numa_nodes > 0 ? json(m.numa_nodes) : json(nullptr)},
          {"memory_bytes", known(m.memory_bytes)},
          {"cache_bytes", known(m.cache_bytes)},
          {"kernel", m.kernel},
          {"load", m.load ? json(*m.load) : json(nullptr)}};
}

json build_json(const BuildInfo& b) {
  return {{"version", b.version}, {"commit", b.commit}, {"compiler", b.compiler}, {"type", b.type}};
}

json model_json(const ModelInfo& m) {
  return {{"file", m.path},        {"name", m.name},   {"type", m.type},
          {"sha256", m.sha256},    {"bytes", m.bytes}, {"parameters", m.parameters},
          {"embedded", m.embedded}};
}

}  // namespace

std::string row_id(const Row& row) {
  return fmt::format("{} {} t{} b{} ub{} kv-{}", row.backend, row.test.name(), row.threads, row.batch, row.ubatch,
                     kv_name(row.kv_dtype));
}

json results_key(const Results& results) {
  return {{"machine", fmt::format("{}, {} cores", results.machine.cpu, results.machine.cores)},
          {"build", fmt::format("{}, {}", results.build.compiler, results.build.type)},
          {"model", results.model.sha256}};
}

json row_json(const Results& results, const Row& row) {
  json j = setup_json(results, row);
  j["schema"] = kResultsSchema;
  j["key"] = results_key(results);
  if (!row.not_measured.empty()) return j;
  add_times(row, j);
  add_work(row, j);
  return j;
}

json results_json(const Results& results) {
  json rows = json::array();
  for (const Row& row : results.rows) rows.push_back(row_json(results, row));
  return {{"kind", kResultsKind},
          {"schema", kResultsSchema},
          {"key", results_key(results)},
          {"time", results.time},
          {"machine", machine_json(results.machine)},
          {"build", build_json(results.build)},
          {"model", model_json(results.model)},
          {"warnings", results.warnings},
          {"rows", rows}};
}

}  // namespace bitnet::benchmark
