// cli/signals.h - Ctrl-C, termination, and a model file that vanishes under its mapping.
//
// The first SIGINT or SIGTERM asks for a clean stop, the second ends the process at once (130, 143). SIGBUS, which a truncated
// mapped file raises, prints the model's name and exits with 3.
#pragma once

#include <atomic>
#include <string>

namespace bitnet::cli {

// Installs the handlers. Call once, before the model is opened.
void install_signal_handlers();
// Named by the SIGBUS message.
void set_mapped_path(const std::string& path);

// Set by the first SIGINT or SIGTERM.
const std::atomic<bool>& stop_requested();
// The signal that asked, 0: none.
int stop_signal();
// Forgets it: a conversation goes on after the answer that Ctrl-C ended.
void clear_stop();

}  // namespace bitnet::cli
