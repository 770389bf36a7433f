// cli/options_chat.cpp - options of conversations, and what of them contradicts itself.
#include "base/error.h"
#include "cli/options_commands.h"

namespace bitnet::cli {
namespace {

Prompt system_prompt(const Settings& settings) {
  const Setting &text = settings.of("system-prompt"), &file = settings.of("system-prompt-file");
  if (text.source != Source::kDefault && text.source == file.source) {
    fail(ErrorKind::kUsage, "two system prompts, {} and {}: give one", settings.where("system-prompt"),
         settings.where("system-prompt-file"));
  }
  Prompt out;
  if (file.source > text.source) {
    out.from = PromptFrom::kFile;
    out.text = settings.path("system-prompt-file");
  } else if (text.source != Source::kDefault) {
    out.from = PromptFrom::kText;
    out.text = settings.text("system-prompt");
  }
  return out;
}

ConversationMode mode_of(const Settings& settings, CalledAs name) {
  const bool on = settings.flag("conversation") || name == CalledAs::kChat, off = settings.flag("no-conversation");
  const bool of_a_flag = settings.of("no-conversation").source == Source::kFlag;
  if (on && off && (of_a_flag || name != CalledAs::kChat)) {
    fail(ErrorKind::kUsage, "{} and {} contradict each other: give one",
         name == CalledAs::kChat ? "chat" : settings.where("conversation"), settings.where("no-conversation"));
  }
  return on ? ConversationMode::kOn : off ? ConversationMode::kOff : ConversationMode::kAuto;
}

}  // namespace

ChatOptions chat_options(const Settings& settings, CalledAs name) {
  ChatOptions out;
  out.mode = mode_of(settings, name);
  out.single_turn = settings.flag("single-turn");
  out.multiline = settings.flag("multiline-input");
  out.system = system_prompt(settings);
  out.template_name = settings.text("chat-template");
  out.template_file = settings.path("chat-template-file");
  if (!out.template_name.empty() && !out.template_file.empty() &&
      settings.of("chat-template").source == settings.of("chat-template-file").source) {
    fail(ErrorKind::kUsage, "two chat templates, {} and {}: give one", settings.where("chat-template"),
         settings.where("chat-template-file"));
  }
  if (settings.of("chat-template").source > settings.of("chat-template-file").source) out.template_file.clear();
  for (const char* flag : {"jinja", "no-jinja"}) settings.flag(flag);  // read for their errors
  const bool given =
      out.single_turn || out.system.from != PromptFrom::kNone || !out.template_name.empty() || !out.template_file.empty();
  out.uses_template = given || out.mode == ConversationMode::kOn;
  if (out.mode != ConversationMode::kOff) return out;
  for (const char* option : {"single-turn", "system-prompt", "system-prompt-file", "chat-template", "chat-template-file"}) {
    if (settings.of(option).source != Source::kFlag) continue;
    fail(ErrorKind::kUsage, "{} and {} contradict each other: give one", settings.where(option),
         settings.where("no-conversation"));
  }
  out.uses_template = false;
  return out;
}

void check_chat(const RunOptions& run, const Settings& settings) {
  if (!run.chat.uses_template) return;
  if (run.prompt.from == PromptFrom::kIds) {
    fail(ErrorKind::kUsage, "{}: ids are taken as they are, no chat template can be put around them; give -p TEXT",
         settings.where("prompt-ids"));
  }
  if (run.chat.mode == ConversationMode::kOn && !run.chat.single_turn && !run.logits_out.empty()) {
    fail(ErrorKind::kUsage, "{} is for one answer: add -st", settings.where("logits-out"));
  }
}

}  // namespace bitnet::cli
