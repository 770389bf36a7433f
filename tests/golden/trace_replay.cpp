// golden/trace_replay.cpp - see trace_replay.h.
#include "golden/trace_replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/kv_cache.h"

namespace bitnet::golden_test {
namespace {

constexpr double kMaxUlps = 8;

double ulp_of(float largest) { return static_cast<double>(std::nextafterf(largest, INFINITY)) - static_cast<double>(largest); }

}  // namespace

TraceReplay::TraceReplay(const model::Model& model, const Trace& trace, const backend::Plugin& plugin)
    : model_(model),
      arch_(model.config.arch),
      trace_(trace),
      n_tokens_(trace.n_tokens()),
      device_(plugin, plugin.devices.front().id),
      team_(2),
      ops_(device_.kernels(), device_.handle(), team_),
      linears_(model::prepare_weights(model.weights, ops_)),
      rope_(model.config, model.weights.rope_factors.empty() ? nullptr : model.weights.rope_factors.data(), BN_KV_PAGE) {
  rope_.reserve(n_tokens_);
}

void TraceReplay::run() {
  embedding();
  for (uint32_t n = 0; n < arch_.n_layers; ++n) block(n);
  head();
}

void TraceReplay::block(uint32_t n) {
  const model::Layer& w = model_.weights.layers[n];
  const model::LinearLayer& l = linears_.layers[n];
  const auto at = [&](const char* name) { return fmt::format("blk.{}.{}", n, name); };
  const std::string embedded = arch_.embd_scale == 1.0f ? "embd" : "embd_scaled";
  const std::string x = n == 0 ? embedded : fmt::format("blk.{}.ffn_residual", n - 1);

  project({{at("attn_q"), w.attn_q, l.attn_q}, {at("attn_k"), w.attn_k, l.attn_k}, {at("attn_v"), w.attn_v, l.attn_v}},
          at("attn_norm"), x, w.attn_norm);
  rope(at("attn_q_rope"), after(at("attn_q_normed"), at("attn_q"), w.attn_q_norm), arch_.n_heads);
  rope(at("attn_k_rope"), after(at("attn_k_normed"), at("attn_k"), w.attn_k_norm), arch_.n_kv_heads);
  attention(at("attn"), at("attn_q_rope"), at("attn_k_rope"), at("attn_v"));
  project({{at("attn_output"), w.attn_output, l.attn_output}}, at("attn_sub_norm"), at("attn"), w.attn_sub_norm);
  residual(at("attn_residual"), x, after(at("post_attention_norm"), at("attn_output"), w.post_attn_norm));

  project({{at("ffn_gate"), w.ffn_gate, l.ffn_gate}, {at("ffn_up"), w.ffn_up, l.ffn_up}}, at("ffn_norm"), at("attn_residual"),
          w.ffn_norm);
  gate_times_up(at("ffn_act"), at("ffn_gate"), at("ffn_up"));
  project({{at("ffn_down"), w.ffn_down, l.ffn_down}}, at("ffn_sub_norm"), at("ffn_act"), w.ffn_sub_norm);
  residual(at("ffn_residual"), at("attn_residual"), after(at("post_ffw_norm"), at("ffn_down"), w.post_ffn_norm));
}

void TraceReplay::project(const std::vector<Projection>& projections, const std::string& norm_name, const std::string& input,
                          const model::Gain& gain) {
  const std::string normed = after(norm_name, input, gain);
  std::vector<std::string> names;
  for (const Projection& p : projections) names.push_back(p.name);
  if ((arch_.must & BN_M_IN_NORMS) == 0) quantize(names, input, gain);
  for (const Projection& p : projections) {
    if ((arch_.must & BN_M_IN_NORMS) != 0) {
      norm(p.name + "_norm_in", normed, p.matrix.norm_in);
      quantize({p.name}, normed, p.matrix.norm_in);
    }
    product(p.name, p.linear);
  }
}

// A norm, if the family has it: the name of what comes out.
std::string TraceReplay::after(const std::string& name, const std::string& input, const model::Gain& gain) {
  if (gain.empty()) return input;
  norm(name, input, gain);
  return name;
}

TraceReplay::Matrix TraceReplay::matrix(uint32_t width) const {
  const uint32_t stride = (width + 15) / 16 * 16;
  Matrix m{std::vector<float>(size_t{n_tokens_} * stride, NAN), {}};
  m.view = {m.values.data(), stride};
  return m;
}

TraceReplay::Matrix TraceReplay::recorded(const std::string& name) const {
  const uint32_t width = trace_.width(name);
  Matrix m = matrix(width);
  const auto values = trace_.floats(name);
  for (uint32_t t = 0; t < n_tokens_; ++t) {
    std::copy_n(values.data() + size_t{t} * width, width, m.view.data + size_t{t} * m.view.stride);
  }
  return m;
}

template <class F>
void TraceReplay::region(F&& f) {
  ops_.begin(n_tokens_, nullptr);
  team_.run(f);
  if (ops_.status() != BN_OK) note(fmt::format("{}: {}", ops_.failed_op(), backend::status_name(ops_.status())));
}

void TraceReplay::embedding() {
  const auto embed = [&](const char* name, float scale) {
    Matrix y = matrix(arch_.n_embd);
    region([&](uint32_t m) { ops_.embed(m, name, y.view, model_.weights.token_embd, trace_.tokens().data(), scale); });
    check(name, y.view);
  };
  embed("embd", 1.0f);
  if (arch_.embd_scale != 1.0f) embed("embd_scaled", arch_.embd_scale);
}

void TraceReplay::norm(const std::string& name, const std::string& input, const model::Gain& gain) {
  Matrix x = recorded(input), y = matrix(trace_.width(name));
  region([&](uint32_t m) {
    const uint32_t n = static_cast<uint32_t>(gain.size());
    ops_.rms_norms(m, "norm", y.view, x.view, gain.data(), trace_.width(name) / n, n, arch_.norm_eps);
  });
  check(name, y.view);
}

void TraceReplay::quantize(const std::vector<std::string>& products, const std::string& input, const model::Gain& gain) {
  Matrix x = recorded(input);
  const uint32_t n = trace_.width(input), align = std::max(64u, ops_.table().k_align), stride = (n + align - 1) / align * align;
  std::vector<int8_t> codes(size_t{n_tokens_} * stride, 99);
  std::vector<float> scale(n_tokens_);
  std::vector<int32_t> sum(n_tokens_);
  region([&](uint32_t m) {
    ops_.quantize(m, "quantize", {codes.data(), scale.data(), sum.data(), stride}, x.view, gain.empty() ? nullptr : gain.data(),
                  n, arch_.norm_eps);
  });
  for (const std::string& name : products) {
    const auto expected = trace_.codes(name + ".codes");
    const auto act_scale = trace_.floats(name + ".act_scale");
    for (uint32_t t = 0; t < n_tokens_; ++t) {
      const int8_t *row = codes.data() + size_t{t} * stride, *expected_row = expected.data() + size_t{t} * n;
      const auto wrong = std::mismatch(row, row + n, expected_row);
      if (wrong.first != row + n) {
        note(fmt::format("{}.codes, token {}, element {}: {}, expected {}", name, t, wrong.first - row, int{*wrong.first},
                         int{*wrong.second}));
      }
      if (std::any_of(row + n, row + stride, [](int8_t c) { return c != 0; })) note(name + ".codes: padding is not zero");
      if (sum[t] != std::accumulate(expected_row, expected_row + n, 0)) note(name + ".codes: wrong sum");
      const double unit = 1 / static_cast<double>(act_scale[t]), off = std::fabs(static_cast<double>(scale[t]) - unit);
      if (!(off <= kMaxUlps * ulp_of(static_cast<float>(unit))))
        note(fmt::format("{}.act_scale, token {}: off by {}", name, t, off));
    }
    checked_.insert({name + ".codes", name + ".act_scale"});
  }
}

// Once with all scales 1, which shows the integer sums: with them the reference's own formula must give the recorded bits. Once
// as the graph does it, within the tolerance of floats.
void TraceReplay::product(const std::string& name, const backend::Linear& linear) {
  const uint32_t n = linear.weight.cols, rows = linear.weight.rows;
  const uint32_t align = std::max(64u, ops_.table().k_align), stride = (n + align - 1) / align * align;
  std::vector<int8_t> codes(size_t{n_tokens_} * stride);
  std::vector<float> scale(n_tokens_), ones(n_tokens_, 1.0f);
  std::vector<int32_t> sum(n_tokens_);
  const auto recorded_codes = trace_.codes(name + ".codes");
  const auto act_scale = trace_.floats(name + ".act_scale");
  for (uint32_t t = 0; t < n_tokens_; ++t) {
    const int8_t* row = recorded_codes.data() + size_t{t} * n;
    std::copy_n(row, n, codes.data() + size_t{t} * stride);
    sum[t] = std::accumulate(row, row + n, 0);
    scale[t] = static_cast<float>(1 / static_cast<double>(act_scale[t]));
  }
  const float one = 1.0f;
  backend::Linear unit = linear;
  unit.weight.scales = &one;
  unit.weight.n_scales = 1;
  Matrix sums = matrix(rows), y = matrix(rows);
  const backend::Ops::LinearCall unit_call{&unit, sums.view}, call{&linear, y.view};
  region([&](uint32_t m) {
    ops_.bit_linear(m, {codes.data(), ones.data(), sum.data(), stride}, {&unit_call, 1});
    ops_.bit_linear(m, {codes.data(), scale.data(), sum.data(), stride}, {&call, 1});
  });
  const auto expected = trace_.floats(name);
  for (uint32_t t = 0; t < n_tokens_; ++t) {
    for (uint32_t r = 0; r < rows; ++r) {
      const float w_scale = linear.weight.scales[linear.weight.n_scales == 1 ? 0 : r];
      const float quotient = sums.view.data[size_t{t} * sums.view.stride + r] / act_scale[t];
      if (quotient * w_scale != expected[size_t{t} * rows + r]) {
        note(fmt::format("{}, token {}, row {}: integer sum {} gives {}, expected exactly {}", name, t, r,
                         sums.view.data[size_t{t} * sums.view.stride + r], quotient * w_scale, expected[size_t{t} * rows + r]));
        break;
      }
    }
  }
  check(name, y.view);
}

void TraceReplay::rope(const std::string& name, const std::string& input, uint32_t n_heads) {
  Matrix x = recorded(input);
  bn_rope args{};
  args.kind = arch_.rope_kind, args.n_heads = n_heads, args.head_dim = arch_.head_dim, args.rope_dim = arch_.rope_dim;
  args.cos = rope_.cosine(), args.sin = rope_.sine();
  const backend::Run all{0, n_tokens_, 0};
  region([&](uint32_t m) { ops_.rope(m, "rope", x.view, args, {&all, 1}); });
  check(name, x.view);
}

void TraceReplay::attention(const std::string& name, const std::string& q_name, const std::string& k_name,
                            const std::string& v_name) {
  Matrix q = recorded(q_name), k = recorded(k_name), v = recorded(v_name), y = matrix(trace_.width(name));
  model::KvCache kv(arch_, BN_DT_F32);
  kv.reserve(n_tokens_);
  for (uint32_t t = 0; t < n_tokens_; ++t) {
    for (uint32_t layer = 0; layer < arch_.n_layers; ++layer) {
      kv.store(layer, t, k.view.data + size_t{t} * k.view.stride, v.view.data + size_t{t} * v.view.stride);
    }
  }
  bn_attn args{};
  args.struct_size = sizeof args;
  args.n_heads = arch_.n_heads, args.n_kv_heads = arch_.n_kv_heads, args.head_dim = arch_.head_dim, args.window = arch_.window;
  args.kv_dtype = kv.dtype(), args.kv_stride_pos = kv.stride_position(), args.kv_stride_head = kv.stride_head();
  args.q_stride = q.view.stride, args.y_stride = y.view.stride, args.scale = arch_.attn_scale;
  args.q = q.view.data, args.y = y.view.data;
  const backend::Run all{0, n_tokens_, 0};
  const backend::Pages pages{kv.k_pages(0), kv.v_pages(0)};
  region([&](uint32_t m) { ops_.attention(m, "attn", args, {&all, 1}, &pages); });
  check(name, y.view);
}

void TraceReplay::residual(const std::string& name, const std::string& x_name, const std::string& y_name) {
  Matrix x = recorded(x_name), y = recorded(y_name);
  region([&](uint32_t m) { ops_.add(m, "residual", x.view, y.view, trace_.width(name)); });
  check(name, x.view);
}

void TraceReplay::gate_times_up(const std::string& name, const std::string& gate_name, const std::string& up_name) {
  Matrix gate = recorded(gate_name), up = recorded(up_name);
  region([&](uint32_t m) { ops_.glu(m, "ffn_act", gate.view, gate.view, up.view, arch_.act, trace_.width(name)); });
  check(name, gate.view);
}

void TraceReplay::head() {
  const std::string x = fmt::format("blk.{}.ffn_residual", arch_.n_layers - 1);
  norm("output_norm", x, model_.weights.output_norm);
  if (arch_.must & BN_M_NO_HEAD) return;
  Matrix h = recorded("output_norm"), y = matrix(arch_.n_vocab);
  region([&](uint32_t m) { ops_.dense(m, "output", y.view, model_.weights.output, h.view, n_tokens_); });
  check("logits", y.view);
}

void TraceReplay::check(const std::string& name, const backend::Activations& result) {
  const uint32_t width = trace_.width(name);
  const auto expected = trace_.floats(name);
  for (uint32_t t = 0; t < n_tokens_; ++t) {
    const float *row = result.data + size_t{t} * result.stride, *expected_row = expected.data() + size_t{t} * width;
    float largest = 0;
    double off = 0;
    for (uint32_t i = 0; i < width; ++i) {
      largest = std::max(largest, std::fabs(expected_row[i]));
      const double d = std::fabs(static_cast<double>(row[i]) - static_cast<double>(expected_row[i]));
      off = d >= off || std::isnan(off) ? d : std::isnan(d) ? d : off;
    }
    const double ulps = off / ulp_of(largest);
    if (!(ulps <= kMaxUlps)) note(fmt::format("{}, token {}: {} ulp of the row's largest value {}", name, t, ulps, largest));
    if (ulps > worst_ulps_) worst_ulps_ = ulps, worst_name_ = name;
  }
  checked_.insert(name);
}

}  // namespace bitnet::golden_test
