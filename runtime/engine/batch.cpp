// engine/batch.cpp - who is in a step, with what, and what became of it.
#include "engine/batch.h"

#include <algorithm>

namespace bitnet::engine {

struct Batch::Text {
  Text(const Session& any, const Tokenizer& tokenizer, std::vector<int32_t> ids, GenerateOptions how, GenerateResult& to,
       OnEnd then)
      : prompt(std::move(ids)), options(std::move(how)), result(to), on_end(std::move(then)) {
    options.on_logits = nullptr;
    answer = std::make_unique<Answer>(any, tokenizer, prompt, options, result);
  }

  bool reads() const { return n_read < prompt.size(); }
  // Whether the next token can be sampled on the backend behind n more tokens.
  bool samples_there(size_t n) const {
    return answer->why_sampled_here() == nullptr && session->log().size() + n < session->n_ctx() && answer->limit() > 0;
  }

  std::vector<int32_t> prompt;
  GenerateOptions options;
  GenerateResult& result;
  OnEnd on_end;
  std::unique_ptr<Answer> answer;
  std::unique_ptr<Session> session;  // null: waits
  size_t n_read = 0;                 // tokens of the prompt that are in the session
  int32_t newest = -1;
  bool newest_is_in_log = false;
  std::vector<float> logits;  // [n_vocab] that the newest token was sampled from here; empty: it was not
  bn_sampler sampler{};
  double joined = 0;  // seconds of the answer's clock
};

Batch::Batch(const Session& session, const Tokenizer& tokenizer, uint32_t n_parallel)
    : session_(session), tokenizer_(tokenizer), n_parallel_(n_parallel) {}

Batch::~Batch() = default;

void Batch::add(std::vector<int32_t> prompt, GenerateOptions options, GenerateResult& result, OnEnd on_end) {
  waiting_.push_back(
      std::make_unique<Text>(session_, tokenizer_, std::move(prompt), std::move(options), result, std::move(on_end)));
}

bool Batch::step() {
  end_overdue();
  admit();
  if (running_.empty()) return false;
  std::vector<Session::Item> items = plan();
  Session::step(items);
  size_t at = 0;
  for (std::unique_ptr<Text>& text : running_) {
    if (at == items.size() || items[at].session != text->session.get()) continue;  // not in this step
    take(*text, items[at++]);
    if (text->session == nullptr) text.reset();
  }
  std::erase(running_, nullptr);
  return true;
}

void Batch::end_all(FinishReason reason) {
  for (auto& text : running_) {
    if (text == nullptr || text->session == nullptr) continue;  // it had ended
    text->result.finish = reason;
    text->on_end(*text->session);
  }
  for (auto& text : waiting_) {
    text->result.finish = reason;
    text->on_end(session_);
  }
  running_.clear();
  waiting_.clear();
}

void Batch::admit() {
  while (running_.size() < n_parallel_ && !waiting_.empty()) {
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    Text& text = *running_.back();
    text.session = session_.another();
    text.joined = text.answer->elapsed();
  }
}

// Those that wait or are still read: the others look at the clock when they have a token.
void Batch::end_overdue() {
  for (std::unique_ptr<Text>& text : running_) {
    if (!text->reads() || !text->answer->out_of_time()) continue;
    text->result.finish = FinishReason::kTime;
    text->on_end(*text->session);
    text.reset();
  }
  std::erase(running_, nullptr);
  while (!waiting_.empty() && waiting_.front()->answer->out_of_time()) {
    waiting_.front()->result.finish = FinishReason::kTime;
    waiting_.front()->on_end(session_);
    waiting_.pop_front();
  }
}

// Every text that is written has a token in the step; prompts share what is left of it, in the order they came.
std::vector<Session::Item> Batch::plan() {
  size_t room = session_.max_batch();
  for (const auto& text : running_) room -= !text->reads() && room > 0 ? 1 : 0;
  std::vector<Session::Item> items;
  for (const auto& text : running_) {
    Session::Item item;
    item.session = text->session.get();
    if (text->reads()) {
      const size_t n = std::min(text->prompt.size() - text->n_read, items.empty() ? std::max<size_t>(room, 1) : room);
      if (n == 0) continue;
      room -= std::min(n, room);
      item.stage = Session::Stage::kPrefill;
      item.tokens = std::span(text->prompt).subspan(text->n_read, n);
    } else if (!text->newest_is_in_log) {
      item.tokens = std::span(&text->newest, 1);
    }
    const bool behind = !text->reads() || text->n_read + item.tokens.size() == text->prompt.size();
    text->logits.clear();
    if (behind && text->samples_there(item.tokens.size())) {
      text->sampler = text->answer->backend_sampler();
      item.sampler = &text->sampler;
    } else if (behind) {
      text->logits.resize(session_.n_vocab());
      item.logits = text->logits.data();
    }
    items.push_back(item);
  }
  return items;
}

// What a step gave a text. Without a session afterwards: it has ended.
void Batch::take(Text& text, const Session::Item& item) {
  if (item.waits) return;
  GenerateResult& result = text.result;
  if (text.reads()) {
    text.n_read += item.tokens.size();
    if (text.options.on_prefill) {
      text.options.on_prefill(static_cast<uint32_t>(text.n_read), static_cast<uint32_t>(text.prompt.size()));
    }
    if (text.reads()) return;
    result.prefill = text.answer->elapsed() - text.joined;
    if (text.answer->limit() == 0) return end(text);
  } else {
    ++result.decode_steps;
    result.decode = text.answer->elapsed() - text.joined - *result.prefill;
  }
  text.newest_is_in_log = item.sampler != nullptr;
  text.newest = text.newest_is_in_log ? item.token : text.answer->sample_here(text.logits.data(), text.session->log());
  if (text.answer->commit(text.newest)) return end(text);
  if (static_cast<int64_t>(result.tokens.size()) >= text.answer->limit()) return end(text);
  if (text.answer->out_of_time()) {
    result.finish = FinishReason::kTime;
    return end(text);
  }
  const Session& session = *text.session;
  const bool full = session.log().size() - (text.newest_is_in_log ? 1 : 0) >= session.n_ctx();
  if (full && !text.answer->make_room(*text.session)) end(text);
}

void Batch::end(Text& text) {
  Session& session = *text.session;
  if (text.options.want_last_logits) {
    if (text.newest_is_in_log) {
      session.truncate(static_cast<uint32_t>(session.log().size()) - 1);
      text.logits.resize(session.n_vocab());
      session.last_logits(text.logits.data());
    }
    text.result.last_logits = std::move(text.logits);
  }
  text.answer->flush();
  text.on_end(session);
  text.session.reset();
}

}  // namespace bitnet::engine
