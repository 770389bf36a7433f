// cli/terminal_lines.cpp - lines edited by libedit: keys as in Emacs, history of this conversation, UTF-8.
#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "cli/message_input.h"
#include "cli/signals.h"

namespace bitnet::cli {
namespace {

class TerminalLines final : public LineInput {
 public:
  TerminalLines() {
    // libedit knows the width of characters from the locale, and nothing else here depends on it.
    if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
    editor_ = ::el_init("bitnet-run", stdin, stderr, stderr);
    history_ = ::history_init();
    if (editor_ == nullptr || history_ == nullptr) {
      close();
      fail(ErrorKind::kFailure, "the terminal cannot be used for a conversation; pipe messages in, a line each");
    }
    HistEvent event;
    ::history(history_, &event, H_SETSIZE, 1000);
    ::history(history_, &event, H_SETUNIQUE, 1);
    ::el_set(editor_, EL_CLIENTDATA, this);
    ::el_set(editor_, EL_PROMPT, &TerminalLines::prompt);
    ::el_set(editor_, EL_EDITOR, "emacs");
    ::el_set(editor_, EL_SIGNAL, 0);
    ::el_set(editor_, EL_GETCFN, &TerminalLines::read_character);
    ::el_set(editor_, EL_HIST, ::history, history_);
  }
  ~TerminalLines() override { close(); }
  TerminalLines(const TerminalLines&) = delete;
  TerminalLines& operator=(const TerminalLines&) = delete;

  std::optional<std::string> line(const char* prompt) override {
    prompt_ = prompt;
    int n = 0;
    const char* text = ::el_gets(editor_, &n);
    if (stop_requested()) {
      std::fputs("\n", stderr);
      fail(ErrorKind::kInterrupted, "stopped");
    }
    if (text == nullptr || n <= 0) {
      std::fputs("\n", stderr);
      return std::nullopt;
    }
    std::string_view line(text, static_cast<size_t>(n));
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (line.size() > kMaxMessageBytes) {
      log(LogLevel::kWarning, "a line of more than {} bytes is left out", kMaxMessageBytes);
      return std::string();
    }
    HistEvent event;
    std::string out(line);
    if (!out.empty()) ::history(history_, &event, H_ENTER, out.c_str());
    return out;
  }

 private:
  static char* prompt(EditLine* editor) {
    TerminalLines* self = nullptr;
    ::el_get(editor, EL_CLIENTDATA, &self);
    return const_cast<char*>(self->prompt_);
  }

  // Reads one character. libedit's own function goes on after Ctrl-C; here a signal ends the line.
  static int read_character(EditLine*, wchar_t* character) {
    unsigned char first = 0;
    int n = read_byte(first);
    if (n <= 0) return n;
    const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
    wchar_t code = more == 3 ? first & 0x07 : more == 2 ? first & 0x0F : more == 1 ? first & 0x1F : first;
    if (more == 0 && first >= 0x80) code = 0xFFFD;
    for (int i = 0; i < more; ++i) {
      unsigned char byte = 0;
      n = read_byte(byte);
      if (n <= 0) return n;
      code = static_cast<wchar_t>(code << 6 | (byte & 0x3F));
    }
    *character = code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ? 0xFFFD : code;
    return 1;
  }

  static int read_byte(unsigned char& byte) {
    for (;;) {
      if (stop_requested()) return -1;
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n >= 0 || errno != EINTR) return static_cast<int>(n);
    }
  }

  void close() {
    if (editor_ != nullptr) ::el_end(editor_);
    if (history_ != nullptr) ::history_end(history_);
  }

  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  const char* prompt_ = "";
};

}  // namespace

std::unique_ptr<LineInput> terminal_lines() { return std::make_unique<TerminalLines>(); }

}  // namespace bitnet::cli
