// cli/embed_command.cpp - "bitnet-run embed": texts to vectors, one text a line.
#include <unistd.h>

#include <algorithm>

#include "base/process_memory.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/opened_model.h"
#include "cli/signals.h"

namespace bitnet::cli {
namespace {

using nlohmann::json;

// A separator at the very end ends the last text, it does not begin another. Lines may end as on Windows.
std::vector<std::string_view> split_texts(std::string_view all, std::string_view separator) {
  if (separator.empty()) return {all};
  std::vector<std::string_view> texts;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find(separator, begin), all.size());
    std::string_view text = all.substr(begin, end - begin);
    if (separator == "\n" && text.ends_with('\r')) text.remove_suffix(1);
    texts.push_back(text);
    begin = end + separator.size();
  }
  return texts;
}

class Embed {
 public:
  explicit Embed(const EmbedOptions& options) : o_(options) {}

  void execute() {
    if (o_.format == EmbedFormat::kRaw && ::isatty(STDOUT_FILENO)) {
      fail(ErrorKind::kUsage, "--format raw writes bytes that are not text: send them to a file or a program");
    }
    std::string all;
    if (o_.texts.from != PromptFrom::kIds) all = read_prompt(o_.texts);
    opened_ =
        std::make_unique<OpenedModel>(o_.model, o_.formats, o_.compute, o_.check_tensors, o_.strict_tokenizers, o_.tokenizer);
    choose_pooling();
    encode(all);
    load();
    compute();
  }

 private:
  const bn_arch& arch() const { return opened_->model().config.arch; }

  // The user's choice, else the model's; a model that generates names none.
  void choose_pooling() {
    static constexpr uint32_t kKinds[] = {BN_POOL_NONE, BN_POOL_NONE, BN_POOL_MEAN, BN_POOL_LAST, BN_POOL_FIRST};
    model::Config& config = opened_->model().config;
    uint32_t pooling = kKinds[static_cast<size_t>(o_.pooling)];
    if (o_.pooling == Pooling::kFromModel) {
      const bool generates = !(config.arch.must & BN_M_NO_HEAD);
      pooling = generates ? uint32_t{BN_POOL_MEAN} : config.arch.pooling;
      if (generates) {
        log(LogLevel::kNotice,
            "the model is made to write text, not for embeddings: taking the mean over each text's tokens "
            "(--pooling chooses)");
      } else if (!config.pooling_note.empty()) {
        log(LogLevel::kNotice, "pooling {}", config.pooling_note);
      }
    }
    model::choose_pooling(config, pooling, o_.normalize);
    log(LogLevel::kInfo, "pooling {}, vectors {}", model::pooling_name(pooling),
        config.arch.must & BN_M_L2_POOLED ? "scaled to length 1" : "as long as they are");
  }

  // All texts, before a backend is loaded: what does not fit is told early.
  void encode(std::string_view all) {
    n_ctx_ = opened_->context_size(o_.ctx_size);
    if (o_.texts.from == PromptFrom::kIds) {
      tokens_ = {o_.texts.ids};
    } else {
      for (const std::string_view text : split_texts(all, o_.separator)) {
        tokens_.push_back(opened_->tokenizer().encode(
            text, {.add_special = true, .parse_special = false, .max_tokens = static_cast<size_t>(n_ctx_) + 1}));
      }
    }
    if (tokens_.empty()) fail(ErrorKind::kUsage, "there is no text");
    for (size_t i = 0; i < tokens_.size(); ++i) check(tokens_[i], i + 1);
  }

  void check(const std::vector<int32_t>& tokens, size_t number) const {
    if (tokens.empty()) fail(ErrorKind::kUsage, "text {} is empty: there is no token to make a vector of", number);
    if (tokens.size() > n_ctx_) {
      fail(ErrorKind::kUsage, "text {} has more than {} tokens, which is what the context holds; raise -c or shorten the text",
           number, n_ctx_);
    }
    for (const int32_t id : tokens) {
      if (id >= 0 && static_cast<uint32_t>(id) < arch().n_vocab) continue;
      fail(ErrorKind::kUsage, "token {} is outside the vocabulary of {}", id, arch().n_vocab);
    }
  }

  void load() {
    backend::Order order = opened_->find_backends(o_.compute);
    engine::SessionOptions so = OpenedModel::session_options(o_.compute, n_ctx_);
    so.engine.head = model::HeadMode::kFull;  // nobody looks at logits
    for (const auto& tokens : tokens_) so.n_ctx_least = std::max(so.n_ctx_least, static_cast<uint32_t>(tokens.size()));
    session_ = std::make_unique<engine::Session>(opened_->model(), opened_->registry(), std::move(order), std::move(so));
    log(LogLevel::kInfo, "backend {} ({})", session_->plugin().name, session_->plugin().path);
  }

  void compute() {
    json data = json::array();
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const std::vector<float> rows = session_->embed(tokens_[i]);
      tell_mock();
      if (o_.format == EmbedFormat::kJson) {
        data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", vector_json(rows)}});
      } else if (o_.format == EmbedFormat::kRaw) {
        write_stdout({reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(float)});
      } else {
        write_lines(rows, i == 0);
      }
    }
    if (o_.format == EmbedFormat::kJson) write_stdout(json_text(report(std::move(data))) + "\n");
  }

  // Numbers of the mock are never without a mark.
  void tell_mock() {
    if (!session_->is_mock() || told_mock_) return;
    told_mock_ = true;
    if (o_.format == EmbedFormat::kRaw) fail(ErrorKind::kUsage, "--format raw cannot mark what comes from the mock backend");
    log(LogLevel::kNotice, "backend {}: the numbers below do not come from the model's usual kernels", session_->plugin().name);
  }

  // A line for each vector; without pooling an empty line between texts.
  void write_lines(std::span<const float> rows, bool first) {
    std::string text = arch().pooling == BN_POOL_NONE && !first ? "\n" : "";
    if (session_->is_mock()) text += "[mock] ";
    for (; !rows.empty(); rows = rows.subspan(arch().n_embd)) {
      text += fmt::format("{}\n", fmt::join(rows.first(arch().n_embd), " "));
    }
    write_stdout(text);
  }

  // One array, or without pooling an array of arrays.
  json vector_json(std::span<const float> rows) const {
    if (arch().pooling != BN_POOL_NONE) return json(std::vector<float>(rows.begin(), rows.end()));
    json list = json::array();
    for (; !rows.empty(); rows = rows.subspan(arch().n_embd)) {
      list.push_back(std::vector<float>(rows.begin(), rows.begin() + arch().n_embd));
    }
    return list;
  }

  // The list of the OpenAI interface, and what every object of ours says.
  json report(json data) const {
    size_t n = 0;
    for (const auto& tokens : tokens_) n += tokens.size();
    json fallbacks = json::array();
    const auto add = [&](const engine::Fallback& f) {
      fallbacks.push_back({{"from", f.from},
                           {"to", f.to.empty() ? json(nullptr) : json(f.to)},
                           {"stage", f.stage},
                           {"reason", f.reason},
                           {"at_token", f.at_token},
                           {"text_may_differ", f.text_may_differ}});
    };
    for (const engine::Fallback& f : opened_->left_out()) add(f);
    for (const engine::Fallback& f : session_->fallbacks()) add(f);
    const model::Model& model = opened_->model();
    const ProcessMemory memory = process_memory();
    return {{"schema", 1},
            {"object", "list"},
            {"data", std::move(data)},
            {"model", {{"file", model.file.path()}, {"name", model.config.name}, {"architecture", model.config.architecture}}},
            {"usage", {{"prompt_tokens", n}, {"total_tokens", n}}},
            {"pooling", model::pooling_name(arch().pooling)},
            {"normalized", (arch().must & BN_M_L2_POOLED) != 0},
            {"dimensions", arch().n_embd},
            {"provider", session_->used_mock() ? "mock" : "real"},
            {"mock", session_->used_mock()},
            {"backend", {{"name", session_->plugin().name}, {"version", session_->plugin().version}}},
            {"fallback", fallbacks},
            {"timing",
             {{"loading", json_number(opened_->open_seconds() + opened_->find_seconds() + session_->times().load)},
              {"quantization", json_number(session_->times().pack)},
              {"kernel_execution", json_number(session_->times().compute)}}},
            {"memory",
             {{"rss", memory.rss ? json(*memory.rss) : json(nullptr)},
              {"peak_rss", memory.peak_rss ? json(*memory.peak_rss) : json(nullptr)},
              {"kv_cache", session_->kv_bytes()}}},
            {"warnings", opened_->warnings()}};
  }

  const EmbedOptions& o_;
  std::unique_ptr<OpenedModel> opened_;
  std::unique_ptr<engine::Session> session_;
  std::vector<std::vector<int32_t>> tokens_;  // of each text
  uint32_t n_ctx_ = 0;
  bool told_mock_ = false;
};

}  // namespace

int embed_command(const EmbedOptions& options) {
  auto embed = std::make_unique<Embed>(options);
  try {
    embed->execute();
  } catch (const Error& e) {
    // A backend that hangs still uses model and session; main() ends the process under it.
    if (engine::EngineThread::abandoned_threads() != 0) static_cast<void>(embed.release());
    if (e.kind() != ErrorKind::kInterrupted) throw;
    log(LogLevel::kNotice, "stopped");
    return 128 + stop_signal();
  }
  if (engine::EngineThread::abandoned_threads() != 0) static_cast<void>(embed.release());
  return 0;
}

}  // namespace bitnet::cli
