// cli/many_prompts.cpp - lines in, answers out.
#include "cli/many_prompts.h"

#include <algorithm>
#include <chrono>

#include "cli/commands.h"
#include "cli/json_text.h"

namespace bitnet::cli {
namespace {

std::string text_of_object(const std::string& where, const std::string& line) {
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  const bool is_object = object.is_object();
  if (is_object && object.size() == 1 && object.contains("prompt") && object["prompt"].is_string()) return object["prompt"];
  std::string found = object.is_discarded() ? "no JSON" : object.type_name();
  if (is_object) {
    found = object.contains("prompt") && !object["prompt"].is_string() ? "a prompt that is no text" : "no \"prompt\"";
    for (const auto& [key, value] : object.items()) {
      if (key != "prompt") found = fmt::format("the key \"{}\", which means nothing here", printable(key));
    }
  }
  fail(ErrorKind::kUsage, "{}: expected an object {{\"prompt\": TEXT}}, found {}", where, found);
}

}  // namespace

std::vector<PromptLine> read_prompt_lines(const Prompt& prompt) {
  const bool from_file = prompt.text != "-";
  const std::string name = from_file ? printable(prompt.text) : "standard input";
  const std::string all = read_prompt({from_file ? PromptFrom::kFile : PromptFrom::kStdin, prompt.text, {}});
  const bool objects = prompt.text.ends_with(".jsonl");
  std::vector<PromptLine> lines;
  uint64_t number = 0;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\n', begin), all.size());
    std::string line = all.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    if (objects) line = text_of_object(fmt::format("{}, line {}", name, number), line);
    lines.push_back({number, std::move(line), {}});
  }
  if (lines.empty()) fail(ErrorKind::kUsage, "{}: expected one prompt a line, found none", name);
  return lines;
}

ManyAnswers::ManyAnswers(const RunReport& report, const Tokenizer& tokenizer, std::vector<PromptLine> prompts,
                         engine::GenerateOptions how, uint32_t n_parallel, bool json)
    : report_(report),
      tokenizer_(tokenizer),
      prompts_(std::move(prompts)),
      how_(std::move(how)),
      n_parallel_(n_parallel),
      json_(json),
      slots_(prompts_.size()) {}

void ManyAnswers::run() {
  const auto start = std::chrono::steady_clock::now();
  engine::Batch batch(*report_.session, tokenizer_, n_parallel_);
  for (size_t i = 0; i < prompts_.size(); ++i) {
    batch.add(prompts_[i].ids, how_, slots_[i].result, [this, i](const engine::Session& session) { end(i, session); });
  }
  const auto note_time = [&] { seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  try {
    while (batch.step()) write_ready();
    note_time();
  } catch (const Error& e) {
    note_time();
    error_ = e.what();
    batch.end_all(e.kind() == ErrorKind::kInterrupted ? engine::FinishReason::kCancelled : engine::FinishReason::kError);
    write_ready();
    throw;
  }
  write_ready();
}

void ManyAnswers::end(size_t i, const engine::Session& session) {
  Slot& slot = slots_[i];
  slot.ended = true;
  if (json_) {
    RunReport one;
    one.session = &session;
    one.result = &slot.result;
    one.seed = report_.seed;
    one.threads = report_.threads;
    one.fallbacks = report_.fallbacks;
    one.fallbacks.insert(one.fallbacks.end(), session.fallbacks().begin(), session.fallbacks().end());
    one.error = slot.result.finish == engine::FinishReason::kError ? error_ : "";
    slot.output = answer_json(one, i + 1, prompts_[i].line) + "\n";
    slot.result.last_logits = {};
    return;
  }
  if (slot.result.tokens.empty() && !error_.empty()) return;
  slot.output = fmt::format("== {} ==\n{}{}\n", i + 1, session.used_mock() ? "[mock] " : "", slot.result.text);
}

// Answers leave in the order of their prompts.
void ManyAnswers::write_ready() {
  for (; n_written_ < slots_.size() && slots_[n_written_].ended; ++n_written_) {
    write_stdout(slots_[n_written_].output);
    slots_[n_written_].output = {};
  }
}

size_t ManyAnswers::count(engine::FinishReason reason) const {
  return static_cast<size_t>(
      std::count_if(slots_.begin(), slots_.end(), [&](const Slot& slot) { return slot.result.finish == reason; }));
}

size_t ManyAnswers::count_full() const {
  return static_cast<size_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.result.context_full; }));
}

std::string ManyAnswers::summary() const {
  uint64_t read = 0, written = 0;
  for (const Slot& slot : slots_) read += slot.result.prompt_tokens, written += slot.result.tokens.size();
  return fmt::format("{} prompts of {} tokens together, {} tokens written in {:.3f} s, {:.2f} tokens/s; at most {} at once",
                     slots_.size(), read, written, seconds_, seconds_ > 0 ? static_cast<double>(written) / seconds_ : 0.0,
                     n_parallel_);
}

}  // namespace bitnet::cli
