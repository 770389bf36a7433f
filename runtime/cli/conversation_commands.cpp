// cli/conversation_commands.cpp - /help and the others. What they say goes to standard error.
#include <algorithm>

#include "cli/conversation_loop.h"
#include "cli/option_table.h"
#include "cli/options_values.h"

namespace bitnet::cli {
namespace {

void say(std::string_view text) { log_line(LogLevel::kNotice, text); }

std::string trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return std::string(text.substr(begin, text.find_last_not_of(" \t") + 1 - begin));
}

std::string seconds_text(std::optional<double> seconds) { return seconds ? fmt::format("{:.3f} s", *seconds) : "not measured"; }

std::string speed_text(double tokens, std::optional<double> seconds) {
  return seconds && *seconds > 0 && tokens > 0 ? fmt::format(" ({:.2f} tokens/s)", tokens / *seconds) : std::string();
}

}  // namespace

struct ConversationCommands::Row {
  std::string_view names;  // separated by spaces
  std::string_view value;  // as help shows it; empty: none is expected
  std::string_view help;
  void (ConversationCommands::*run)(const std::string&);
};

const ConversationCommands::Row ConversationCommands::kRows[] = {
    {"help ?", "", "this list", &ConversationCommands::help},
    {"exit quit bye", "", "ends the conversation, as Ctrl-D does", &ConversationCommands::exit},
    {"clear", "", "forgets the conversation; the system prompt stays", &ConversationCommands::clear},
    {"regen", "", "answers the last message again, with the next seed", &ConversationCommands::regen},
    {"system", "TEXT", "changes the system prompt", &ConversationCommands::system},
    {"set", "NAME VALUE", "changes a setting: /show settings lists them", &ConversationCommands::set},
    {"show", "[settings|backend|template|tokens]", "tells what is in use", &ConversationCommands::show},
    {"save", "FILE", "writes the conversation to a file", &ConversationCommands::save},
    {"load", "FILE", "goes on with a saved conversation", &ConversationCommands::load},
    {"read", "FILE", "sends a file's text as a message", &ConversationCommands::read},
    {"metrics", "", "numbers of the last answer", &ConversationCommands::metrics},
};

void ConversationCommands::run(const std::string& line) {
  const size_t end = std::min(line.find_first_of(" \t"), line.size());
  const std::string name = line.substr(0, end), value = trimmed(std::string_view(line).substr(end));
  for (const Row& row : kRows) {
    const auto names = words_of(row.names);
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    try {
      if (!value.empty() && row.value.empty())
        fail(ErrorKind::kUsage, "/{} takes no value, found '{}'", name, printable(value, 60));
      if (value.empty() && !row.value.empty() && !row.value.starts_with('['))
        fail(ErrorKind::kUsage, "/{}: expected {}", name, row.value);
      (this->*row.run)(value);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kUsage && e.kind() != ErrorKind::kFailure) throw;
      log(LogLevel::kError, "{}", e.what());
    }
    return;
  }
  log(LogLevel::kError, "no command /{}; /help lists them, and // begins a message with a slash", printable(name, 40));
}

void ConversationCommands::help(const std::string&) {
  for (const Row& row : kRows) {
    std::string head = "/" + std::string(row.names);
    for (size_t at = head.find(' '); at != head.npos; at = head.find(' ', at + 3)) head.replace(at, 1, ", /");
    if (!row.value.empty()) head += " " + std::string(row.value);
    say(fmt::format("  {:<42} {}", head, row.help));
  }
  say("  \"\"\"                                        begins and ends a message of several lines");
  say("  //TEXT                                     a message that begins with a slash");
  say("  Ctrl-C                                     stops the answer; at the prompt it ends the program");
}

void ConversationCommands::exit(const std::string&) { loop_.done_ = true; }

void ConversationCommands::clear(const std::string&) {
  std::erase_if(loop_.conversation_, [](const chat::Message& m) { return m.role != "system"; });
  say("the conversation begins anew");
}

void ConversationCommands::regen(const std::string&) {
  chat::Conversation& c = loop_.conversation_;
  const chat::Conversation before = c;
  while (!c.empty() && c.back().role == "assistant") c.pop_back();
  if (c.empty() || c.back().role != "user") {
    c = before;
    fail(ErrorKind::kUsage, "there is no message to answer again");
  }
  ++loop_.sampler_.seed;
  try {
    loop_.answer();
  } catch (...) {
    loop_.conversation_ = before;
    throw;
  }
}

void ConversationCommands::system(const std::string& text) {
  chat::Conversation& c = loop_.conversation_;
  if (!c.empty() && c.front().role == "system") {
    c.front().content = text;
  } else {
    c.insert(c.begin(), {"system", text});
  }
  say("the system prompt is changed; the conversation stays");
}

void ConversationCommands::set(const std::string& text) {
  const size_t end = std::min(text.find_first_of(" =\t"), text.size());
  const std::string name = text.substr(0, end);
  const std::string value = trimmed(std::string_view(text).substr(std::min(end + 1, text.size())));
  const OptionRow* row = find_long(name, kRun);
  if (row != nullptr && row->stands_for == "temp") row = nullptr;
  if (value.empty()) fail(ErrorKind::kUsage, "/set: expected NAME VALUE, found '{}'", printable(text, 60));
  const std::string where = "/set " + printable(name, 40);
  engine::SamplerSettings& s = loop_.sampler_;
  const std::string_view known = row != nullptr ? row->name : std::string_view();
  const auto real = [&] { return static_cast<float>(read_real(*row, where, value)); };
  const auto integer = [&] { return read_integer(*row, where, value); };
  if (known == "temp") {
    s.temperature = real();
  } else if (known == "top-p") {
    s.top_p = real();
  } else if (known == "min-p") {
    s.min_p = real();
  } else if (known == "repeat-penalty") {
    s.repeat_penalty = real();
  } else if (known == "presence-penalty") {
    s.presence_penalty = real();
  } else if (known == "frequency-penalty") {
    s.frequency_penalty = real();
  } else if (known == "top-k") {
    s.top_k = static_cast<int32_t>(integer());
  } else if (known == "repeat-last-n") {
    s.repeat_last_n = static_cast<int32_t>(integer());
  } else if (known == "seed") {
    const int64_t seed = integer();
    if (seed < 0) fail(ErrorKind::kUsage, "{}: expected a seed from 0 on, found {}", where, seed);
    s.seed = static_cast<uint64_t>(seed);
  } else if (known == "predict") {
    loop_.n_predict_ = integer();
  } else {
    fail(ErrorKind::kUsage, "/set: no setting '{}' in a conversation; /show settings lists them", printable(name, 40));
  }
  say(settings_text());
}

std::string ConversationCommands::settings_text() const {
  const engine::SamplerSettings& s = loop_.sampler_;
  return fmt::format(
      "temp {}, top-k {}, top-p {}, min-p {}, repeat-penalty {}, repeat-last-n {}, presence-penalty {}, frequency-penalty {}, "
      "seed {}, predict {}",
      s.temperature, s.top_k, s.top_p, s.min_p, s.repeat_penalty, s.repeat_last_n, s.presence_penalty, s.frequency_penalty,
      s.seed, loop_.n_predict_);
}

void ConversationCommands::show(const std::string& what) {
  const engine::Session& session = loop_.session_;
  const bool all = what.empty();
  if (!all && what != "settings" && what != "backend" && what != "template" && what != "tokens") {
    fail(ErrorKind::kUsage, "/show: expected settings, backend, template or tokens, found '{}'", printable(what, 40));
  }
  if (all || what == "settings") say("settings: " + settings_text());
  if (all || what == "backend")
    say(fmt::format("backend: {} ({}), {} threads", session.plugin().name, session.plugin().path, loop_.report_.threads));
  if (all || what == "template") say(loop_.template_.name());
  if (what == "template") say(loop_.template_.source());
  if (all || what == "tokens") {
    say(fmt::format("tokens: {} of {} in use, {} messages", session.log().size(), session.n_ctx(), loop_.conversation_.size()));
  }
}

void ConversationCommands::save(const std::string& path) {
  chat::save_conversation(path, loop_.conversation_);
  say(fmt::format("{}: {} messages written", printable(path), loop_.conversation_.size()));
}

void ConversationCommands::load(const std::string& path) {
  loop_.conversation_ = chat::load_conversation(path);
  say(fmt::format("{}: {} messages read", printable(path), loop_.conversation_.size()));
}

void ConversationCommands::read(const std::string& path) {
  std::string text = read_prompt({PromptFrom::kFile, path, {}});
  if (text.empty()) fail(ErrorKind::kUsage, "{}: the file is empty", printable(path));
  loop_.say(std::move(text));
}

void ConversationCommands::metrics(const std::string&) {
  const engine::GenerateResult& r = loop_.result_;
  if (loop_.report_.result == nullptr) return say("no answer yet");
  say(fmt::format("prompt: {} tokens computed in {}{}, {} kept from before", r.prompt_tokens, seconds_text(r.prefill),
                  speed_text(r.prompt_tokens, r.prefill), loop_.reused_));
  say(fmt::format("answer: {} tokens in {}{}, first after {}, ended by {}", r.tokens.size(), seconds_text(r.decode),
                  speed_text(r.decode_steps, r.decode), seconds_text(r.first_token), engine::finish_reason_name(r.finish)));
}

}  // namespace bitnet::cli
