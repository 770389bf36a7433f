// cli/convert_command.cpp - "convert IN -o OUT --type T": a model file in another ternary format.
#include <csignal>

#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "convert/checkpoint_output.h"
#include "convert/convert.h"

namespace bitnet::cli {
namespace {

std::string loss_text(const convert::Plan& plan) {
  if (plan.largest_loss == 0) return "weights and scales are the same";
  return fmt::format("scales are rounded, the largest relative error is {:.2g}", plan.largest_loss);
}

std::string report(const ConvertOptions& o, const convert::Plan& plan, uint64_t bytes) {
  if (o.output.json) {
    return json_text({{"schema", 1},
                      {"input", o.input},
                      {"output", o.out},
                      {"type", o.type},
                      {"bytes", bytes},
                      {"encoded", plan.n_encoded},
                      {"copied", plan.n_copied},
                      {"scale_tensors", plan.n_scale_tensors},
                      {"largest_relative_scale_error", plan.largest_loss},
                      {"verified", o.verify}}) +
           "\n";
  }
  const std::string scales = plan.n_scale_tensors == 0 ? "" : fmt::format(", {} with a tensor .scale", plan.n_scale_tensors);
  const std::string same = plan.n_copied == 0 ? "" : fmt::format(", {} were {} already", plan.n_copied, o.type);
  return fmt::format("{}: {} bytes, {} matrices written as {}{}{}; {}{}\n", o.out, bytes, plan.n_encoded, o.type, scales, same,
                     loss_text(plan), o.verify ? "; verified" : "");
}

std::string to_gguf(const ConvertOptions& o, convert::Source& source, const convert::OutputSettings& output) {
  const convert::Wanted wanted{convert::parse_wanted_type(o.type).value(),
                               o.scale_tensors ? convert::Scales::kScaleTensors
                               : o.allow_loss  ? convert::Scales::kAllowLoss
                                               : convert::Scales::kExact,
                               output.reading.tiles};
  convert::check_output(source, output);
  source.read_tokenizer();
  if (source.file().version() == 0 && source.tokenizer_file().empty()) {
    log(LogLevel::kWarning, "{}: no tokenizer.json and no tokenizer.model beside it; the new file has no tokenizer",
        printable(o.input));
  }
  const convert::Plan plan = convert::make_plan(source, wanted);
  const uint64_t bytes = convert::write_model(source, plan, wanted, output);
  return report(o, plan, bytes);
}

std::string to_checkpoint(const ConvertOptions& o, const convert::Source& source, const convert::OutputSettings& output) {
  const convert::WrittenCheckpoint written = convert::write_checkpoint(source, output);
  const std::string& without = written.without_tokenizer;
  if (o.output.json) {
    return json_text({{"schema", 1},
                      {"input", o.input},
                      {"output", o.out},
                      {"type", o.type},
                      {"bytes", written.bytes},
                      {"tokenizer", without.empty()},
                      {"tokenizer_problem", without.empty() ? nlohmann::json(nullptr) : nlohmann::json(without)},
                      {"verified", o.verify}}) +
           "\n";
  }
  const std::string tokenizer =
      without.empty() ? "its tokenizer is beside them"
                      : fmt::format("the tokenizer is not there ({}): run it with --tokenizer {}", without, o.input);
  return fmt::format("{}: a checkpoint with {} bytes of weights, the same as before{}; {}\n", o.out, written.bytes,
                     o.verify ? "; verified" : "", tokenizer);
}

}  // namespace

gguf::TernaryOptions ternary_options(const FormatOptions& formats, gguf::TileTable& tiles) {
  if (!formats.kernel_config.empty()) tiles = gguf::read_kernel_config(formats.kernel_config);
  return {.i2s_layout = reading_without_run(formats).i2s_layout, .tiles = &tiles};
}

int convert_command(const ConvertOptions& o) {
  gguf::TileTable tiles;
  const gguf::TernaryOptions reading = ternary_options(o.formats, tiles);
  ::signal(SIGXFSZ, SIG_IGN);  // a file over the limit is a failed write, and the partial file goes
  set_mapped_path(o.input);
  convert::Source source(o.input, reading);
  for (const std::string& warning : source.file().warnings()) log(LogLevel::kWarning, "{}", warning);

  convert::OutputSettings output;
  output.path = o.out;
  output.force = o.force;
  output.verify = o.verify;
  output.reading.tiles = &tiles;
  ProgressLine progress(o.output.progress, "convert", "MB");
  output.on_progress = [&](const char*, uint64_t done, uint64_t total) {
    if (stop_requested()) fail(ErrorKind::kInterrupted, "stopped; nothing was written");
    progress.update(done >> 20, total >> 20);
  };
  try {
    const std::string text = o.type == "safetensors" ? to_checkpoint(o, source, output) : to_gguf(o, source, output);
    progress.finish();
    write_stdout(text);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kInterrupted) throw;
    log(LogLevel::kNotice, "{}", e.what());
    return 128 + stop_signal();
  }
  return 0;
}

}  // namespace bitnet::cli
