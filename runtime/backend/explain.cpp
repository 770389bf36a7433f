// backend/explain.cpp - asks the devices, lets the policy decide, prints both.
#include "backend/explain.h"

#include <nlohmann/json.hpp>

#include "backend/device.h"
#include "backend/layouts.h"

namespace bitnet::backend {
namespace {

using Json = nlohmann::ordered_json;

using Accepts = int32_t(BN_CALL*)(bn_device*, const bn_tensor*);

const char* answer_name(int32_t answer) { return answer == BN_NATIVE ? "native" : answer == BN_PACK ? "pack" : "no"; }

// What one device says about one shape; "convert": takes it as bn.t2 only.
struct ShapeAnswer {
  MatrixShape shape;
  std::string answer;
  uint64_t copy_bytes = 0;  // of all matrices of the shape, packed or converted; engines do not say
};

struct DeviceAnswers {
  std::string problem;  // cannot be opened or asked; empty: none
  std::string tier;     // that was asked
  std::vector<ShapeAnswer> shapes;
};

// What a packed matrix takes; 0 when the plugin does not say.
uint64_t packed_bytes(const bn_kernels_v1& table, bn_device* device, const bn_tensor& w) {
  uint64_t bytes = 0;
  bn_format layout{};
  layout.struct_size = sizeof layout;
  bn_error error{};
  error.struct_size = sizeof error;
  return table.pack_size(device, &w, &bytes, &layout, &error) == BN_OK ? bytes : 0;
}

// kernels: null for an engine.
ShapeAnswer ask(Accepts accepts, const bn_kernels_v1* kernels, bn_device* device, const MatrixShape& shape) {
  bn_tensor w{};
  w.struct_size = sizeof w;
  w.role = BN_T_ATTN_Q;
  w.dtype = BN_DT_TERNARY;
  w.rows = shape.rows;
  w.cols = shape.cols;
  w.n_scales = 1;
  w.format = shape.format;
  int32_t answer = accepts(device, &w);
  const bool converted = answer == BN_NO;
  if (converted) {
    w.format = &format_t2();
    answer = accepts(device, &w);
  }
  ShapeAnswer result{shape, converted && answer != BN_NO ? "convert" : answer_name(answer)};
  if (kernels == nullptr) return result;
  const uint64_t t2_bytes = (static_cast<uint64_t>(shape.cols) + 3) / 4 * shape.rows;
  if (answer == BN_PACK) result.copy_bytes = shape.count * packed_bytes(*kernels, device, w);
  if (answer == BN_NATIVE && (converted || shape.format == &format_t2())) result.copy_bytes = shape.count * t2_bytes;
  return result;
}

DeviceAnswers ask_device(const Plugin& plugin, const std::string& id, const std::string& tier,
                         const std::vector<MatrixShape>& shapes) {
  DeviceAnswers answers;
  try {
    const OpenDevice device(plugin, id);
    const bn_engine_v1* engine = tier == "kernels" ? nullptr : device.engine();
    const bn_kernels_v1* kernels = engine != nullptr ? nullptr : device.kernels();
    const Accepts accepts = engine != nullptr ? engine->accepts : kernels != nullptr ? kernels->accepts : nullptr;
    answers.tier = engine != nullptr ? "engine" : kernels != nullptr ? "kernels" : "";
    if (answers.tier.empty()) answers.problem = "offers neither bn.engine/1 nor bn.kernels/1";
    for (const MatrixShape& shape : shapes) {
      if (accepts != nullptr) answers.shapes.push_back(ask(accepts, kernels, device.handle(), shape));
    }
  } catch (const BackendError& error) {
    answers.problem = error.what();
  }
  return answers;
}

uint64_t copied_bytes(const DeviceAnswers& answers) {
  uint64_t bytes = 0;
  for (const ShapeAnswer& a : answers.shapes) bytes += a.copy_bytes;
  return bytes;
}

// "2 x bn.t2 2560x6912 pack"
std::string shape_text(const ShapeAnswer& a) {
  return fmt::format("{}x{} {} ({} of them): {}", a.shape.rows, a.shape.cols, a.shape.format->id, a.shape.count, a.answer);
}

const Score* find_score(const PolicyInput& input, const Candidate& c) {
  for (const Score& s : input.options.scores) {
    if (s.plugin == c.plugin && s.device == c.device) return &s;
  }
  return nullptr;
}

std::string score_line(const Score& score) {
  return score.gb_per_second > 0 ? fmt::format("{} ({})", score_text(score), age_text(score.measured_at)) : score_text(score);
}

std::vector<std::string> list_of(const PolicyInput& input) {
  return input.requested.empty() ? std::vector<std::string>{"auto"} : input.requested;
}

std::string candidate_text(const Registry& registry, const Explanation& e, const Candidate& c, const Considered& line,
                           size_t number) {
  const Plugin& plugin = registry.plugins()[c.plugin];
  std::string out = fmt::format("{}. {} {} on device {}{}: {} ({})\n", number, c.name, plugin.version, c.device,
                                c.tier.empty() ? "" : ", tier " + c.tier, standing_name(line.standing), line.reason);
  if (const Score* score = find_score(e.input, c)) out += fmt::format("     speed    {}\n", score_line(*score));
  const DeviceAnswers answers = ask_device(plugin, c.device, c.tier, e.shapes);
  if (!answers.problem.empty()) return out + fmt::format("     problem  {}\n", answers.problem);
  out += fmt::format("     tier     {}, {}\n", answers.tier, plugin.numerics);
  for (const ShapeAnswer& a : answers.shapes) out += fmt::format("     weights  {}\n", shape_text(a));
  if (answers.tier == "kernels") {
    out += fmt::format("     memory   {:.1f} MB of weights copied\n", 1e-6 * static_cast<double>(copied_bytes(answers)));
  }
  return out;
}

Json score_json(const Score* score) {
  if (score == nullptr) return nullptr;
  return {{"gb_per_second", score->gb_per_second > 0 ? Json(score->gb_per_second) : Json()},
          {"measured_at", score->measured_at},
          {"crashed", score->crashed}};
}

Json candidate_json(const Registry& registry, const Explanation& e, const Candidate& c, const Considered& line) {
  const Plugin& plugin = registry.plugins()[c.plugin];
  const DeviceAnswers answers = ask_device(plugin, c.device, c.tier, e.shapes);
  Json shapes = Json::array();
  for (const ShapeAnswer& a : answers.shapes) {
    shapes.push_back({{"rows", a.shape.rows},
                      {"cols", a.shape.cols},
                      {"count", a.shape.count},
                      {"format", a.shape.format->id},
                      {"answer", a.answer}});
  }
  return {{"backend", c.name},
          {"id", plugin.id},
          {"version", plugin.version},
          {"device", c.device},
          {"tier", answers.tier.empty() ? Json() : Json(answers.tier)},
          {"numerics", plugin.numerics},
          {"mock", plugin.kind == "test"},
          {"verdict", standing_name(line.standing)},
          {"reason", line.reason},
          {"score", score_json(find_score(e.input, c))},
          {"weights", shapes},
          {"weight_bytes_copied", answers.tier == "kernels" ? Json(copied_bytes(answers)) : Json()},
          {"problem", answers.problem.empty() ? Json() : Json(answers.problem)}};
}

}  // namespace

std::string explain_text(const Registry& registry, const Explanation& e) {
  const Order order = order_candidates(e.input.plugins, e.input.requested, e.input.options);
  const Decision decision = next_candidate(order, e.input.options.strict, {});
  std::string out =
      fmt::format("model {} ({}), {} threads, list {}\n", printable(e.model, 200),
                  e.quantization.empty() ? "no weights" : e.quantization, e.threads, fmt::join(list_of(e.input), ","));
  for (size_t i = 0; i < order.candidates.size(); ++i) {
    out += candidate_text(registry, e, order.candidates[i], decision.considered[i], i + 1);
  }
  if (order.candidates.empty()) out += decision.message + "\n";
  if (order.candidates.size() < decision.considered.size()) out += "not used:\n";
  for (size_t i = order.candidates.size(); i < decision.considered.size(); ++i) {
    const Considered& line = decision.considered[i];
    out += fmt::format("   {}: {}{}\n", line.name, line.reason, line.asked ? " (asked for)" : "");
  }
  return out;
}

std::string explain_json(const Registry& registry, const Explanation& e) {
  const Order order = order_candidates(e.input.plugins, e.input.requested, e.input.options);
  const Decision decision = next_candidate(order, e.input.options.strict, {});
  Json out = {{"schema", 1},
              {"model", e.model},
              {"quantization", e.quantization.empty() ? Json() : Json(e.quantization)},
              {"threads", e.threads},
              {"list", list_of(e.input)},
              {"chain", Json::array()},
              {"left_out", Json::array()}};
  for (size_t i = 0; i < order.candidates.size(); ++i) {
    out["chain"].push_back(candidate_json(registry, e, order.candidates[i], decision.considered[i]));
  }
  for (size_t i = order.candidates.size(); i < decision.considered.size(); ++i) {
    const Considered& line = decision.considered[i];
    out["left_out"].push_back({{"backend", line.name}, {"reason", line.reason}, {"asked", line.asked}});
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bitnet::backend
