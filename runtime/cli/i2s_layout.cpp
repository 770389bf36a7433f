// cli/i2s_layout.cpp - how a model file is to be read, and "--i2s-layout auto": which order of weights makes sense of a
// sentence.
//
// Four programs write I2_S in four orders without a mark, and every order uses the same codes equally often: the bytes cannot
// tell. A model read in a wrong order is noise, though, and a plain English sentence is then about as unlikely as any other
// tokens.
#include <algorithm>
#include <cmath>

#include "cli/commands.h"
#include "cli/opened_model.h"
#include "cli/signals.h"

namespace bitnet::cli {
namespace {

constexpr const char* kSentence =
    "Once upon a time, there was a little girl who lived in a small house. One day, she went to the park to play with her "
    "friends.";
constexpr uint32_t kMinTokens = 12;       // fewer say nothing
constexpr uint32_t kContext = 256;        // tokens; of a usual vocabulary the sentence takes about 30
constexpr double kClearLead = 1.0;        // nats per token by which the best order must lead
constexpr double kBetterThanNoise = 1.0;  // and by which it must be better than a guess

struct Trial {
  gguf::I2sLayout layout;
  double nll = 0;       // mean over the tokens, in nats
  std::string problem;  // empty: it was measured
};

double mean_nll(const std::vector<float>& logits, const std::vector<int32_t>& tokens, uint32_t n_vocab) {
  double sum = 0;
  for (size_t t = 0; t + 1 < tokens.size(); ++t) {
    const float* row = logits.data() + t * n_vocab;
    const double largest = *std::max_element(row, row + n_vocab);
    double total = 0;
    for (uint32_t i = 0; i < n_vocab; ++i) total += std::exp(row[i] - largest);
    sum += largest + std::log(total) - row[tokens[t + 1]];
  }
  return sum / static_cast<double>(tokens.size() - 1);
}

class LayoutCheck {
 public:
  LayoutCheck(const FormatOptions& formats, const std::string& path, const ComputeOptions& compute)
      : formats_(formats),
        path_(path),
        compute_(compute),
        registry_(backend::Registry::discover(discovery_options(compute.plugins))) {}

  gguf::I2sLayout run() {
    for (const gguf::I2sLayout layout : gguf::kI2sLayouts) trials_.push_back(measure(layout));
    std::stable_sort(trials_.begin(), trials_.end(), [](const Trial& a, const Trial& b) {
      return a.problem.empty() != b.problem.empty() ? a.problem.empty() : a.nll < b.nll;
    });
    const Trial &best = trials_[0], &second = trials_[1];
    const bool clear = best.problem.empty() && best.nll + kBetterThanNoise <= std::log(n_vocab_) &&
                       (!second.problem.empty() || best.nll + kClearLead <= second.nll);
    if (!clear) {
      fail(ErrorKind::kInvalidModel,
           "{}: --i2s-layout auto: no layout makes clear sense of a plain English sentence (nats per token: {}; a guess: "
           "{:.1f}); "
           "name the layout of the program that wrote the file",
           printable(path_), summary(), std::log(n_vocab_));
    }
    log(LogLevel::kNotice, "--i2s-layout auto: {} (nats per token of a plain English sentence: {})",
        gguf::i2s_layout_name(best.layout), summary());
    return best.layout;
  }

 private:
  Trial measure(gguf::I2sLayout layout) {
    Trial trial{layout, 0, {}};
    try {
      const model::Model model(path_, {.i2s_layout = layout, .kernel_config = formats_.kernel_config});
      refuse_embedding_model(model);
      n_vocab_ = model.config.arch.n_vocab;
      const Tokenizer tokenizer = Tokenizer::from_gguf(model.file, {});
      const std::vector<int32_t> tokens = tokenizer.encode(kSentence, {.add_special = true, .parse_special = false});
      const uint32_t n_ctx = std::min(kContext, model.config.arch.n_ctx_max);
      if (tokens.size() < kMinTokens || tokens.size() > n_ctx) {
        trial.problem = fmt::format("the sentence has {} tokens", tokens.size());
        return trial;
      }
      trial.nll = mean_nll(logits_of(model, tokens, n_ctx), tokens, n_vocab_);
      if (!std::isfinite(trial.nll)) trial.problem = "numbers that are not finite";
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kInvalidModel) throw;
      trial.problem = e.what();
    }
    return trial;
  }

  std::vector<float> logits_of(const model::Model& model, const std::vector<int32_t>& tokens, uint32_t n_ctx) {
    const backend::PolicyInput input = policy_input(registry_, compute_, model);
    engine::SessionOptions so;
    so.engine.n_ctx = n_ctx;
    so.engine.max_batch = n_ctx;
    so.engine.device_options = device_options(compute_);
    so.engine.head = model::HeadMode::kFull;
    so.engine.prepack_cache = false;  // three of four would be kept for nothing
    so.threads = thread_count(compute_);
    so.strict = compute_.no_fallback;
    so.stop = &stop_requested();
    so.patience = {compute_.hang_limit, 6 * compute_.hang_limit};
    if (compute_.isolate) so.worker = {worker_program(), compute_.plugins.allow_unsafe, program_path()};
    engine::Session session(model, registry_, backend::order_candidates(input.plugins, input.requested, input.options),
                            std::move(so));
    std::vector<float> logits(tokens.size() * n_vocab_);
    session.append(tokens, 0, logits.data(), engine::Session::Stage::kPrefill);
    return logits;
  }

  std::string summary() const {
    std::vector<std::string> parts;
    for (const Trial& t : trials_) {
      parts.push_back(fmt::format("{} {}", gguf::i2s_layout_name(t.layout),
                                  t.problem.empty() ? fmt::format("{:.1f}", t.nll) : "impossible (" + t.problem + ")"));
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  const FormatOptions& formats_;
  const std::string& path_;
  const ComputeOptions& compute_;
  backend::Registry registry_;
  std::vector<Trial> trials_;
  uint32_t n_vocab_ = 1;
};

bool has_i2s(const FormatOptions& formats, const std::string& path) {
  const model::Model model(path, {.kernel_config = formats.kernel_config});
  return model.weights.quantization.find("I2_S") != std::string::npos;
}

}  // namespace

model::ReadOptions reading_without_run(const FormatOptions& formats) {
  const auto layout = gguf::parse_i2s_layout(formats.i2s_layout);
  if (!layout) {
    fail(
        ErrorKind::kUsage,
        "--i2s-layout auto needs a run of the model: 'bitnet-run backends explain MODEL --i2s-layout auto' finds the layout to "
        "give");
  }
  return {.i2s_layout = *layout, .kernel_config = formats.kernel_config};
}

model::ReadOptions read_options(const FormatOptions& formats, const std::string& path, const ComputeOptions& compute) {
  model::ReadOptions out;
  out.kernel_config = formats.kernel_config;
  if (const auto named = gguf::parse_i2s_layout(formats.i2s_layout)) {
    out.i2s_layout = *named;
  } else if (has_i2s(formats, path)) {
    out.i2s_layout = LayoutCheck(formats, path, compute).run();
  } else {
    log(LogLevel::kWarning, "--i2s-layout auto has no effect: no matrix is I2_S");
  }
  return out;
}

}  // namespace bitnet::cli
