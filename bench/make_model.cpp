// bench/make_model.cpp - "bitnet-make-model --shape 2b-4t -o FILE": a model of real dimensions with random weights.
#include <boost/program_options.hpp>
#include <cmath>
#include <iostream>
#include <optional>

#include "program.h"
#include "synthetic_model.h"

namespace bitnet::bench {
namespace {

namespace po = boost::program_options;

// What the runtime accepts.
constexpr uint32_t kMaxLayers = 512, kMaxVocab = 1u << 20;

struct NamedType {
  const char* name;
  gguf::Type type;
};
constexpr NamedType kFormats[] = {
    {"i2_s", gguf::Type::kI2_S},     {"tl1", gguf::Type::kTL1},       {"tl2", gguf::Type::kTL2},
    {"tq1_0", gguf::Type::kTQ1_0},   {"tq2_0", gguf::Type::kTQ2_0},   {"q2_0", gguf::Type::kQ2_0},
    {"iq1_bn", gguf::Type::kIQ1_BN}, {"iq2_bn", gguf::Type::kIQ2_BN}, {"iq2_bn_r4", gguf::Type::kIQ2_BN_R4}};
constexpr NamedType kHeads[] = {{"f16", gguf::Type::kF16},
                                {"f32", gguf::Type::kF32},
                                {"bf16", gguf::Type::kBF16},
                                {"q8_0", gguf::Type::kQ8_0},
                                {"q6_k", gguf::Type::kQ6_K}};

template <size_t N>
gguf::Type choose(const char* option, const NamedType (&types)[N], const std::string& name) {
  std::string known;
  for (const NamedType& t : types) {
    if (name == t.name) return t.type;
    known += (known.empty() ? "" : ", ") + std::string(t.name);
  }
  fail(ErrorKind::kUsage, "--{} {}: expected one of {}", option, printable(name), known);
}

struct Request {
  SyntheticModel model;
  std::string path;
};

// Empty when only the help was wanted.
std::optional<Request> parse(int argc, char** argv) {
  std::string shape, format, head;
  uint32_t layers = 0, vocab = 0;
  double pad_gb = 0;
  Request request;
  po::options_description options("bitnet-make-model: a GGUF model of real dimensions with random weights");
  auto add = options.add_options();
  add("help,h", "this text");
  add("shape", po::value(&shape)->default_value("2b-4t"), ("one of " + shape_names()).c_str());
  add("output,o", po::value(&request.path), "the file to write");
  add("seed", po::value(&request.model.seed)->default_value(1), "the same seed gives the same weights in every format");
  add("format", po::value(&format)->default_value("i2_s"),
      "of the ternary matrices: i2_s, tl1, tl2, tq1_0, tq2_0, q2_0, iq1_bn, iq2_bn, iq2_bn_r4");
  add("head", po::value(&head)->default_value("f16"), "of embeddings and output: f16, f32, bf16, q8_0, q6_k");
  add("layers", po::value(&layers), "layers instead of the shape's");
  add("vocab", po::value(&vocab), "tokens instead of the shape's");
  add("memoryless", po::bool_switch(&request.model.memoryless),
      "the next token depends on the newest alone, at the same cost: greedy text repeats a prompt made of it "
      "(bench/lookup.py)");
  add("sparse-pad", po::value(&pad_gb), "a hole of so many GB behind the embeddings; takes no disk space");
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  if (values.count("help") != 0) {
    std::cout << options;
    return std::nullopt;
  }
  if (request.path.empty()) fail(ErrorKind::kUsage, "-o FILE is missing: where to write the model");
  const auto found = find_shape(shape);
  if (!found) fail(ErrorKind::kUsage, "--shape {}: expected one of {}", printable(shape), shape_names());
  request.model.shape = *found;
  if (values.count("layers") != 0) request.model.shape.n_layers = layers;
  if (values.count("vocab") != 0) request.model.shape.n_vocab = vocab;
  if (layers > kMaxLayers || request.model.shape.n_layers == 0) {
    fail(ErrorKind::kUsage, "--layers {}: expected 1 to {}", layers, kMaxLayers);
  }
  if (vocab > kMaxVocab) fail(ErrorKind::kUsage, "--vocab {}: expected at most {}", vocab, kMaxVocab);
  if (!(pad_gb >= 0 && pad_gb <= 1e6)) fail(ErrorKind::kUsage, "--sparse-pad {}: expected 0 to 1000000", pad_gb);
  request.model.gap = static_cast<uint64_t>(std::llround(pad_gb * 1e9));
  request.model.ternary = choose("format", kFormats, format);
  request.model.head = choose("head", kHeads, head);
  return request;
}

int make_model(int argc, char** argv) {
  const std::optional<Request> request = parse(argc, argv);
  if (!request) return 0;
  const uint64_t bytes = write_model(request->model, request->path);
  std::cout << fmt::format("{}: {} parameters, {} bytes\n", request->path, parameter_count(request->model.shape), bytes);
  return 0;
}

}  // namespace
}  // namespace bitnet::bench

int main(int argc, char** argv) {
  return bitnet::bench::run_program("bitnet-make-model", [&] { return bitnet::bench::make_model(argc, argv); });
}
