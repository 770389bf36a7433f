// engine/bn_worker.cpp - the worker process: one engine, told what to do over a socket. Started by bitnet-run, not by people.
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "backend/registry.h"
#include "base/error.h"
#include "engine/engine.h"
#include "engine/worker_protocol.h"

namespace bitnet::engine {
namespace {

using backend::BackendError;
using nlohmann::json;
using worker::Call;
using worker::Reply;
using worker::Request;

// The parent's memory, seen from here.
class SharedFile {
 public:
  void map(uint64_t size) {
    if (size <= size_) return;
    if (data_ != nullptr) ::munmap(data_, size_);
    data_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, worker::kSharedFile, 0);
    if (data_ == MAP_FAILED) fail(ErrorKind::kNoMemory, "cannot map {} bytes of shared memory", size);
    size_ = size;
  }
  Pulse& pulse() { return *static_cast<Pulse*>(data_); }
  float* rows() { return reinterpret_cast<float*>(static_cast<uint8_t*>(data_) + worker::kRowsOffset); }

 private:
  void* data_ = nullptr;
  uint64_t size_ = 0;
};

class Worker {
 public:
  // Serves until the parent is gone.
  void serve() {
    for (Request request; worker::receive_all(worker::kSocket, &request, sizeof request);) {
      std::string text(request.n_text, '\0');
      tokens_.resize(request.n_tokens);
      if (!worker::receive_all(worker::kSocket, text.data(), text.size()) ||
          !worker::receive_all(worker::kSocket, tokens_.data(), 4ull * tokens_.size())) {
        return;
      }
      if (!answer(request, text)) return;
    }
  }

 private:
  bool answer(const Request& request, const std::string& text) {
    Reply reply;
    std::string message;
    const auto failed = [&](bn_status status, const char* what) {
      reply.status = status;
      message.assign(what, std::min<size_t>(std::char_traits<char>::length(what), worker::kMaxMessage));
    };
    committed_.assign(request.limit.tokens, 0);
    try {
      shared_.map(request.shared_size);
      run(request, text, reply.n_committed);
    } catch (const UnusableLogits& e) {
      failed(e.code(), e.what());
      reply.unusable_logits = 1;
    } catch (const BackendError& e) {
      failed(e.code(), e.what());
    } catch (const Error& e) {
      failed(e.kind() == ErrorKind::kNoMemory ? BN_E_NO_MEMORY : BN_E_INTERNAL, e.what());
    } catch (const std::exception& e) {
      failed(BN_E_INTERNAL, e.what());
    } catch (...) {
      failed(BN_E_INTERNAL, "it threw an exception across the plugin boundary");
    }
    reply.n_message = static_cast<uint32_t>(message.size());
    if (engine_) {
      reply.info = engine_->info();
      reply.kv_bytes_used = engine_->kv_bytes_used();
    }
    return worker::send_all(worker::kSocket, &reply, sizeof reply) &&
           worker::send_all(worker::kSocket, committed_.data(), 4ull * reply.n_committed) &&
           worker::send_all(worker::kSocket, message.data(), message.size());
  }

  void run(const Request& request, const std::string& text, uint32_t& n_committed) {
    Pulse& pulse = shared_.pulse();
    switch (request.call) {
      case Call::kLoad:
        return load(json::parse(text), pulse);
      case Call::kAppend: {
        Output output;
        output.first = request.first;
        (request.hidden != 0 ? output.hidden : output.logits) = shared_.rows();
        return engine_->append(tokens_, request.first < request.n_tokens ? &output : nullptr, pulse);
      }
      case Call::kDecode: {
        bn_sampler sampler = request.sampler;
        sampler.stop = tokens_.data();
        sampler.n_stop = tokens_.size();
        return engine_->decode(sampler, request.limit, committed_.data(), n_committed, pulse);
      }
      case Call::kTruncate:
        return engine_->truncate(request.keep);
    }
  }

  void load(const json& j, Pulse& pulse) {
    backend::DiscoveryOptions discovery;
    if (const std::string path = j["plugin"]; path.starts_with('/')) {
      discovery.files = {path};
      discovery.only = {path.substr(path.rfind('/') + 1)};  // nobody else is looked at
    }
    discovery.program_path = j["program"];
    discovery.allow_unsafe = j["allow_unsafe"];
    registry_ = std::make_unique<backend::Registry>(backend::Registry::discover(discovery));
    const std::string id = j["id"];
    const backend::Plugin* plugin = registry_->find(id);
    if (plugin == nullptr || !plugin->usable) {
      throw BackendError(BN_E_UNSUPPORTED, plugin != nullptr ? plugin->reason : "its file is gone");
    }
    model::ReadOptions reading;
    reading.i2s_layout = gguf::parse_i2s_layout(j["i2s_layout"].get<std::string>()).value_or(gguf::I2sLayout::kX86);
    reading.kernel_config = j["kernel_config"];
    model_ = std::make_unique<model::Model>(j["model"].get<std::string>(), reading);
    if (model_->file.size() != j["model_bytes"]) throw BackendError(BN_E_DATA, "the model file has changed");
    model::choose_pooling(model_->config, j["pooling"], j["unit_length"]);
    EngineOptions options;
    options.n_ctx = j["n_ctx"];
    options.max_batch = j["max_batch"];
    options.deterministic = j["deterministic"];
    options.draft_min = j["draft_min"];
    options.draft_max = j["draft_max"];
    options.kv_dtype = j["kv_dtype"];
    options.device_options = j["device_options"].get<std::map<std::string, std::string>>();
    team_ = std::make_unique<ThreadTeam>(j["threads"].get<uint32_t>());
    options.prepack_cache = j["prepack_cache"];
    options.head = static_cast<model::HeadMode>(j["head"].get<uint32_t>());
    backend::Candidate candidate{};
    candidate.name = plugin->name;
    candidate.device = j["device"];
    candidate.tier = j["tier"];
    engine_ = load_engine(*plugin, candidate, *model_, *team_, options, pulse);
  }

  SharedFile shared_;
  std::vector<int32_t> tokens_, committed_;
  std::unique_ptr<backend::Registry> registry_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<ThreadTeam> team_;
  std::unique_ptr<Engine> engine_;
};

bool has_descriptors() {
  struct stat socket {
  }, file{};
  return ::fstat(worker::kSocket, &socket) == 0 && S_ISSOCK(socket.st_mode) && ::fstat(worker::kSharedFile, &file) == 0 &&
         S_ISREG(file.st_mode);
}

}  // namespace
}  // namespace bitnet::engine

int main() {
  if (!bitnet::engine::has_descriptors()) {
    std::fputs("bn_worker is started by bitnet-run (option --isolate-backend), not by hand\n", stderr);
    return 2;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // never outlives its parent; the end of the socket says it, too
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(SIGINT, SIG_IGN);
  bitnet::engine::Worker().serve();
  return 0;
}
