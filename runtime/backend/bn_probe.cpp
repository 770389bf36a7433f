// backend/bn_probe.cpp - "bn_probe FILE ID": loads one plugin, says what happened on file descriptor 3, and ends.
//
// Started by probe.cpp, which watches it from outside. Plugin code may do anything to this process: hang it, crash it, close
// its descriptors. So the answer leaves as one write, and nothing of the process's end (destructors, atexit) is run.
#include <fcntl.h>
#include <link.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "backend/loader.h"
#include "backend/probe_answer.h"
#include "backend/process_state.h"
#include "base/error.h"

namespace bitnet::backend {
namespace {

struct stat g_pipe {};  // what kProbeAnswerFd was at the start

bool pipe_is_ours() {
  struct stat now {};
  return ::fstat(kProbeAnswerFd, &now) == 0 && now.st_dev == g_pipe.st_dev && now.st_ino == g_pipe.st_ino;
}

void write_line(std::string line) {
  line += '\n';
  for (size_t done = 0; done < line.size();) {
    if (!pipe_is_ours()) ::_exit(kProbeLostItsPipe);
    const ssize_t n = ::write(kProbeAnswerFd, line.data() + done, line.size() - done);
    if (n <= 0) ::_exit(kProbeLostItsPipe);
    done += static_cast<size_t>(n);
  }
}

[[noreturn]] void answer_and_end(const ProbeAnswer& answer) {
  std::fflush(nullptr);  // what a plugin printed is to be seen
  end_children();
  write_line(write_answer(answer));
  ::_exit(0);
}

[[noreturn]] void refuse_and_end(const std::string& reason) {
  ProbeAnswer answer;
  answer.reason = reason;
  answer_and_end(answer);
}

[[noreturn]] void refuse_threw(const std::string& what) {
  refuse_and_end(fmt::format("it threw an exception where none may leave it ({})", what));
}

// An exception that leaves a static constructor, or a function that must not throw, ends here.
[[noreturn]] void on_terminate() {
  std::string what = "of unknown type";
  try {
    if (const std::exception_ptr current = std::current_exception()) std::rethrow_exception(current);
    what.clear();
  } catch (const std::exception& e) {
    what = printable(e.what());
  } catch (...) {
  }
  if (what.empty()) std::abort();
  refuse_threw(what);
}

void ignore_log(void*, int32_t, const char*, uint64_t) {}
void* allocate(void*, uint64_t bytes, uint64_t align) {
  void* p = nullptr;
  return ::posix_memalign(&p, align < sizeof(void*) ? sizeof(void*) : align, bytes) == 0 ? p : nullptr;
}
void release(void*, void* p) { std::free(p); }
void one_after_the_other(void*, uint32_t n, void (*fn)(void*, uint32_t), void* arg) {
  for (uint32_t i = 0; i < n; ++i) fn(arg, i);
}
const void* no_interface(void*, const char*) { return nullptr; }

int add_library(dl_phdr_info* info, size_t, void* list) {
  auto& libraries = *static_cast<std::vector<std::string>*>(list);
  if (info->dlpi_name != nullptr && info->dlpi_name[0] == '/' && libraries.size() < kMaxLibraries) {
    libraries.emplace_back(info->dlpi_name);
  }
  return 0;
}

std::vector<std::string> mapped_libraries(const std::string& plugin) {
  std::vector<std::string> libraries;
  ::dl_iterate_phdr(add_library, &libraries);
  std::erase(libraries, plugin);
  return libraries;
}

[[noreturn]] void probe(const std::string& path, const std::string& id) {
  static bn_host host{sizeof(bn_host), BN_ABI_MINOR,        nullptr,      ignore_log,  allocate,
                      release,         one_after_the_other, no_interface, path.c_str()};
  ProcessState before;
  const auto check = [&] {
    if (const std::string change = before.change_since(); !change.empty()) refuse_and_end("while it was loaded it " + change);
  };
  const LoadedPlugin plugin = load_plugin_file(path, id, &host, [&](LoadStage stage) {
    if (stage != LoadStage::kOpen) check();
    write_line(std::string(stage_name(stage)));
  });
  before.accept_threads();  // asking a driver for its devices may start some
  check();
  ProbeAnswer answer;
  answer.ok = true;
  answer.vendor = plugin.vendor;
  answer.devices = plugin.devices;
  answer.libraries = mapped_libraries(path);
  answer_and_end(answer);
}

}  // namespace
}  // namespace bitnet::backend

int main(int argc, char** argv) {
  using namespace bitnet::backend;
  if (argc != 3 || ::fstat(kProbeAnswerFd, &g_pipe) != 0) {
    std::fputs("bn_probe is started by bitnet-run to try a plugin: bn_probe FILE ID, answer on file descriptor 3\n", stderr);
    return 2;
  }
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  become_reaper();
  std::set_terminate(on_terminate);
  try {
    probe(argv[1], argv[2]);
  } catch (const bitnet::Error& e) {
    refuse_and_end(e.what());
  } catch (const std::exception& e) {  // through dlopen(), if the compiler lets it
    refuse_threw(bitnet::printable(e.what()));
  }
}
