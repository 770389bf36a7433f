// cli/run_report.cpp - fields and units of user_interface.md, section 8.
#include "cli/run_report.h"

#include <algorithm>

#include "base/sha256.h"
#include "cli/json_text.h"
#include "store/model_hash.h"

namespace bitnet::cli {
namespace {

using nlohmann::json;

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

std::optional<double> rate(double count, std::optional<double> seconds) {
  if (!seconds || *seconds <= 0 || count <= 0) return std::nullopt;
  return count / *seconds;
}

json model_json(const model::Model& model) {
  json j = {{"file", model.file.path()},
            {"sha256", store::model_sha256(model.file.path())},
            {"bytes", model.file.size()},
            {"name", model.config.name},
            {"architecture", model.config.architecture},
            {"quantization", model.has_tensors() ? json(model.weights.quantization) : json(nullptr)},
            {"n_vocab", model.config.arch.n_vocab},
            {"n_ctx_train", model.config.arch.n_ctx_max}};
  return j;
}

json backend_json(const RunReport& r) {
  if (r.session == nullptr) return nullptr;
  const backend::Plugin& plugin = r.session->plugin();
  const engine::EngineInfo info = r.session->engine_info();
  const auto is_used = [&](const backend::DeviceSummary& device) { return device.id == r.session->device(); };
  const auto device = std::find_if(plugin.devices.begin(), plugin.devices.end(), is_used);
  return {{"name", plugin.name},
          {"id", plugin.id},
          {"version", plugin.version},
          {"path", plugin.path},
          {"device", device == plugin.devices.end() ? json(nullptr) : json(device->name)},
          {"numerics", r.session->has_engine() ? engine::numerics_name(info.numerics) : plugin.numerics},
          {"tolerance", info.is_approximate() ? json(info.tolerance) : json(nullptr)},
          {"threads", r.threads},
          {"matrices",
           {{"native", info.n_native}, {"packed", info.n_packed}, {"converted", info.n_converted}, {"cached", info.n_cached}}}};
}

// How the output head was used; rates are per screened token.
json head_json(const RunReport& r) {
  if (r.session == nullptr || !r.session->has_engine()) return nullptr;
  const model::HeadUse use = r.session->engine_info().head;
  const auto mean = rate(static_cast<double>(use.candidates), static_cast<double>(use.screened));
  return {{"mode", use.screen_bytes != 0 ? "screened" : "full"},
          {"screen_bytes", use.screen_bytes},
          {"cached", use.is_cached},
          {"screened_tokens", use.screened},
          {"mean_candidates", json_number(mean)},
          {"most_candidates", use.most_candidates},
          {"full_instead", use.fell_back}};
}

json timing_json(const RunReport& r, const engine::GenerateResult& result) {
  const engine::SessionTimes times = r.session ? r.session->times() : engine::SessionTimes{};
  const double loading = r.open_model + r.find_backends + times.load;
  const double measured =
      r.tokenization + loading + times.pack + result.prefill.value_or(0) + result.decode.value_or(0) + result.output;
  return {{"tokenization", json_number(r.tokenization)},
          {"loading", json_number(loading)},
          {"quantization", r.session ? json_number(times.pack) : json(nullptr)},
          {"prefill", json_number(result.prefill)},
          {"first_token", json_number(result.first_token)},
          {"decode", json_number(result.decode)},
          {"kernel_execution", r.session ? json_number(times.compute) : json(nullptr)},
          {"output_generation", json_number(result.output)},
          {"other", json_number(r.total - measured)},
          {"total", json_number(r.total)}};
}

// Why guesses that were asked for were not used; null: they were.
const char* why_no_drafts(const RunReport& r, const engine::GenerateResult& result) {
  if (result.no_drafts != nullptr) return result.no_drafts;
  return r.session->engine_info().drafts ? nullptr : "the backend decodes by itself";
}

// Null when none was asked for. A rate of nothing is null.
json speculation_json(const RunReport& r, const engine::GenerateResult& result) {
  if (r.session == nullptr || r.session->draft_max() == 0) return nullptr;
  const engine::SpeculationCounts n = r.session->speculation();
  const auto share = [](uint64_t part, uint64_t of) {
    return of == 0 ? json(nullptr) : json_number(double(part) / double(of));
  };
  const char* const off = why_no_drafts(r, result);
  return {{"method", "lookup"},
          {"draft_max", r.session->draft_max()},
          {"steps", n.steps},
          {"batches", n.batches},
          {"drafted", n.drafted},
          {"accepted", n.accepted},
          {"acceptance_rate", share(n.accepted, n.drafted)},
          {"tokens_per_step", share(n.steps + n.accepted, n.steps)},
          {"off_because", off != nullptr ? json(off) : json(nullptr)}};
}

json shifts_json(const engine::GenerateResult& result) {
  json shifts = json::array();
  for (const engine::ContextShift& shift : result.shifts) {
    shifts.push_back({{"at_token", shift.at_token}, {"kept", shift.kept}, {"dropped", shift.dropped}});
  }
  return shifts;
}

std::string logits_hash(const engine::GenerateResult& result) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(result.last_logits.data());
  return "sha256:" + sha256_hex({bytes, result.last_logits.size() * sizeof(float)});
}

// A line for --verbose, or nothing.
std::string speculation_summary(const RunReport& r) {
  if (r.session->draft_max() == 0) return "";
  if (const char* off = why_no_drafts(r, *r.result)) return fmt::format("\nspeculation off: {}", off);
  const engine::SpeculationCounts n = r.session->speculation();
  const std::string tokens = n.steps == 0 ? "no" : fmt::format("{:.2f}", double(n.steps + n.accepted) / double(n.steps));
  return fmt::format("\nspeculation by lookup: {} of {} guesses right in {} of {} steps, {} tokens per step", n.accepted,
                     n.drafted, n.batches, n.steps, tokens);
}

json fallbacks_json(const RunReport& r) {
  json fallbacks = json::array();
  for (const engine::Fallback& f : r.fallbacks) {
    fallbacks.push_back({{"from", f.from},
                         {"to", f.to.empty() ? json(nullptr) : json(f.to)},
                         {"stage", f.stage},
                         {"reason", f.reason},
                         {"at_token", f.at_token},
                         {"text_may_differ", f.text_may_differ}});
  }
  return fallbacks;
}

// What the run of one prompt and the answers to many have in common.
json answer_fields(const RunReport& r, const engine::GenerateResult& result) {
  const bool mock = r.session != nullptr && r.session->used_mock();
  return {{"schema", 1},
          {"text", result.text},
          {"tokens", result.tokens},
          {"finish_reason", engine::finish_reason_name(result.finish)},
          {"usage", {{"prompt_tokens", result.prompt_tokens}, {"completion_tokens", result.tokens.size()}}},
          {"seed", r.seed},
          {"provider", mock ? "mock" : "real"},
          {"mock", mock},
          {"backend", backend_json(r)},
          {"fallback", fallbacks_json(r)},
          {"context_shifts", shifts_json(result)},
          {"logits_hash", result.last_logits.empty() ? json(nullptr) : json(logits_hash(result))}};
}

}  // namespace

std::string answer_json(const RunReport& r, uint64_t number, uint64_t line) {
  json j = answer_fields(r, *r.result);
  j["number"] = number;
  j["line"] = line;
  j["timing"] = {{"prefill", json_number(r.result->prefill)},
                 {"first_token", json_number(r.result->first_token)},
                 {"decode", json_number(r.result->decode)}};
  if (!r.error.empty()) j["error"] = r.error;
  return json_text(j);
}

std::string run_report_json(const RunReport& r) {
  const engine::GenerateResult none;
  const engine::GenerateResult& result = r.result ? *r.result : none;
  const ProcessMemory now = process_memory();
  json j = answer_fields(r, result);
  j.update({
      {"head", head_json(r)},
      {"model", r.model ? model_json(*r.model) : json(nullptr)},
      {"timing", timing_json(r, result)},
      {"throughput",
       {{"input_tokens_per_sec", json_number(rate(result.prompt_tokens, result.prefill))},
        {"output_tokens_per_sec", json_number(rate(result.decode_steps, result.decode))},
        {"total_tokens_per_sec", json_number(rate(static_cast<double>(result.prompt_tokens + result.tokens.size()), r.total))},
        {"decode_steps", result.decode_steps}}},
      {"speculation", speculation_json(r, result)},
      {"memory",
       {{"rss_before_load", or_null(r.before_load.rss)},
        {"rss", or_null(now.rss)},
        {"peak_rss", or_null(now.peak_rss)},
        {"kv_cache", r.session && r.session->has_engine() ? json(r.session->kv_bytes()) : json(nullptr)},
        {"device", nullptr}}},
      {"warnings", r.warnings},
  });
  if (!r.error.empty()) j["error"] = r.error;
  return json_text(j);
}

namespace {
std::string head_summary(const model::HeadUse& use) {
  if (use.screen_bytes == 0) return "head as stored";
  const double mean = use.screened != 0 ? static_cast<double>(use.candidates) / static_cast<double>(use.screened) : 0;
  return fmt::format(
      "head screened by {:.1f} MB for {} tokens, {:.1f} rows computed for each, {} at most, {} times the full head",
      1e-6 * static_cast<double>(use.screen_bytes), use.screened, mean, use.most_candidates, use.fell_back);
}
}  // namespace

std::string run_summary(const RunReport& r) {
  const engine::GenerateResult& result = *r.result;
  const auto seconds = [](std::optional<double> s) { return s ? fmt::format("{:.3f} s", *s) : std::string("not measured"); };
  const auto speed = [](std::optional<double> v) {
    return v ? fmt::format("{:.2f} tokens/s", *v) : std::string("not measured");
  };
  const engine::SessionTimes& times = r.session->times();
  const ProcessMemory now = process_memory();
  return fmt::format(
      "backend {} with {} threads; {} matrices native, {} packed, {} converted, {} of these cached\n"
      "loading {:.3f} s, packing {:.3f} s, first token after {}\n"
      "{}\n"
      "prompt {} tokens in {} ({}); decode {} steps in {} ({}); seed {}\n"
      "peak memory {} MB, of it KV cache {} MB; logits {}{}",
      r.session->plugin().name, r.threads, r.session->engine_info().n_native, r.session->engine_info().n_packed,
      r.session->engine_info().n_converted, r.session->engine_info().n_cached, r.open_model + r.find_backends + times.load,
      times.pack, seconds(result.first_token), head_summary(r.session->engine_info().head), result.prompt_tokens,
      seconds(result.prefill), speed(rate(result.prompt_tokens, result.prefill)), result.decode_steps, seconds(result.decode),
      speed(rate(result.decode_steps, result.decode)), r.seed,
      now.peak_rss ? fmt::format("{}", *now.peak_rss >> 20) : "unknown", r.session->kv_bytes() >> 20,
      result.last_logits.empty() ? std::string("none") : logits_hash(result).substr(0, 23), speculation_summary(r));
}

}  // namespace bitnet::cli
