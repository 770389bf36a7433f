// fault/mutants_test.cpp - bitnet-plugin-check finds every defect of mutants/, in the test that is about it, and nothing in the
// correct plugins.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/program.h"

namespace bitnet {
namespace {

// Runs the tool and reads its JSON report.
struct Report {
  test::ProgramResult program;
  nlohmann::json json;
};

Report check(const std::string& file, const std::string& mutant, const std::string& filter, const char* limit) {
  std::vector<std::string> args = {"--format", "json", "--timeout", limit, std::string(BITNET_MUTANTS) + "/" + file};
  if (!filter.empty()) args.insert(args.begin(), {"--filter", filter});
  if (!mutant.empty()) args.insert(args.begin(), {"--options", R"({"mutant": ")" + mutant + "\"}"});
  test::ProgramOptions options;
  options.program = BITNET_PLUGIN_CHECK;
  options.timeout = 300;
  Report report;
  report.program = test::run_program(args, options);
  report.json = nlohmann::json::parse(report.program.out, nullptr, false);
  return report;
}

struct Defect {
  const char* file;
  const char* mutant;  // option of bn_mutants.so
  const char* test;    // that has to fail
  const char* words;   // of its failure
  const char* limit = "120";
  friend std::ostream& operator<<(std::ostream& out, const Defect& d) { return out << d.file << ' ' << d.mutant; }
};

class Mutants : public testing::TestWithParam<Defect> {};

TEST_P(Mutants, IsCaught) {
  const Defect& d = GetParam();
  for (const char* test : {"static.no_writable_data", "static.no_constructors", "load.open_and_close", "engine.unload"}) {
    if (BITNET_SANITIZED && std::string(d.test) == test) GTEST_SKIP() << "a sanitizer has static data and a heap of its own";
  }
  // A sanitizer sees a null pointer before the machine does.
  std::string words = d.words;
  if (BITNET_SANITIZED && words == "SIGSEGV") words = "null pointer";
  if (BITNET_SANITIZED && words == "past the end of bn_device_info") words = "AddressSanitizer";
  const Report report = check(d.file, d.mutant, d.test, d.limit);
  ASSERT_EQ(report.program.exit_code, 1) << report.program;
  ASSERT_EQ(report.json["tests"].size(), 1u) << report.program;
  const nlohmann::json& result = report.json["tests"][0];
  EXPECT_EQ(result["name"], d.test);
  EXPECT_EQ(result["outcome"], "failed");
  EXPECT_NE(result["failure"].get<std::string>().find(words), std::string::npos) << result;
  EXPECT_FALSE(result["rule"].get<std::string>().empty());
}

constexpr char kOps[] = "bn_mutants.so";
constexpr char kEngine[] = "bn_engine_mutants.so";
constexpr char kReal[] = "expected";  // a wrong number, shown beside the right one

const Defect kDefects[] = {
    {kOps, "int16_accumulator", "matmul.extremes", kReal},
    {kOps, "one_rounding", "matmul.odd_shapes", kReal},
    {kOps, "scale_order", "matmul.scale_per_row", kReal},
    {kOps, "one_scale", "matmul.scale_per_row", kReal},
    {kOps, "wrong_sum", "matmul.token_counts", kReal},
    {kOps, "tail_dropped", "matmul.odd_shapes", kReal},
    {kOps, "ignores_y_stride", "matmul.slices", kReal},
    {kOps, "ignores_x_stride", "matmul.slices", kReal},
    {kOps, "many_tokens_lost", "matmul.token_counts", kReal},
    {kOps, "past_weights", "matmul.slices", "past the end of packed"},
    {kOps, "past_x", "matmul.odd_shapes", "past the end of x"},
    {kOps, "before_x", "matmul.odd_shapes", "before the start of x"},
    {kOps, "past_y", "matmul.slices", "past the end of y"},
    {kOps, "past_scratch", "matmul.slices", "bytes just outside scratch"},
    {kOps, "writes_x", "matmul.slices", "byte 0 of x"},
    {kOps, "all_rows", "matmul.slices", "outside the range of the call"},
    {kOps, "approximate_all_rows", "matmul.slices", "outside the range of the call"},
    {kOps, "empty_range_writes", "matmul.empty_range", "outside the range of the call"},
    {kOps, "scratch_is_zero", "matmul.scratch_is_garbage", kReal},
    {kOps, "remembers", "matmul.replay", kReal},
    {kOps, "shared_buffer", "matmul.threads", kReal},
    {kOps, "leaves_a_thread", "matmul.replay", "threads before the calls"},
    {kOps, "size_equality", "matmul.struct_sizes", "BN_E_INVALID"},
    {kOps, "reads_newer_field", "matmul.struct_sizes", "past the end of the arguments struct"},
    {kOps, "throws", "matmul.token_counts", "an exception crossed the boundary: several tokens"},
    {kOps, "exits", "matmul.token_counts", "ended the process with exit code 0"},
    {kOps, "aborts", "matmul.token_counts", "SIGABRT"},
    {kOps, "hangs", "matmul.token_counts", "did not end within 3 s", "3"},
    {kOps, "prints", "matmul.token_counts", "wrote to stdout: 'five tokens"},
    {kOps, "logs_to_stderr", "matmul.token_counts", "wrote to stderr: 'five tokens"},
    {kOps, "sets_rounding", "matmul.fp_environment", "changed the floating-point mode"},
    {kOps, "truncates_rounding", "matmul.many_rows", "floating-point mode changed in matmul"},
    {kOps, "refuses_one_token", "matmul.token_counts", "BN_E_UNSUPPORTED"},
    {kOps, "any_format", "formats.unknown_layout", "not BN_NO"},
    {kOps, "any_format", "formats.not_ternary", "not BN_NO"},
    {kOps, "format_by_name", "formats.unknown_layout", "not BN_NO"},
    {kOps, "even_columns_only", "formats.t2_of_any_shape", "accepts() answered 0"},
    {kOps, "wants_data", "formats.t2_of_any_shape", "accepts() answered 0"},
    {kOps, "tensor_size_equality", "formats.struct_sizes", "accepts() answered 0"},
    {kOps, "relative_to_slice", "formats.pack_in_pieces", "in pieces"},
    {kOps, "first_piece_clears", "formats.pack_in_pieces", "in pieces"},
    {kOps, "row_too_many", "formats.pack_in_pieces", "past the end of packed"},
    {kOps, "padding_forgotten", "formats.pack_in_pieces", "in pieces"},
    {kOps, "false_fingerprint", "formats.fingerprint", "declares fingerprint 7777"},
    {kOps, "layout_cleared", "formats.struct_sizes", "past the end of the bn_format"},
    {kOps, "needs_error", "formats.null_error", "SIGSEGV"},
    {kOps, "leaks", "load.open_and_close", "bytes on the heap"},
    {kOps, "no_granule", "load.kernels_table", "row_granule is 0"},
    {kOps, "short_table", "load.kernels_table", "struct_size is 40"},
    {kOps, "dense_without_fma", "dense.plain_rows", kReal},
    {kOps, "dense_8_lanes", "dense.plain_rows", kReal},
    {kOps, "dense_without_chunks", "dense.plain_rows", kReal},
    {kOps, "dense_fold_rising", "dense.plain_rows", kReal},
    {kOps, "dense_reads_on", "dense.plain_rows", "past the end of x"},
    {kOps, "norm_without_eps", "norm.magnitudes", kReal},
    {kOps, "norm_other_gain_order", "norm.lengths", kReal},
    {kOps, "norm_half_away", "norm.rounding_ties", kReal},
    {kOps, "norm_without_floor", "norm.floor_of_the_scale", kReal},
    {kOps, "norm_padding_forgotten", "norm.lengths", kReal},
    {kOps, "rope_always_halves", "rope.head_dims", kReal},
    {kOps, "rope_ignores_pos0", "rope.positions", kReal},
    {kOps, "rope_without_fma", "rope.head_dims", kReal},
    {kOps, "window_too_narrow", "attention.windows", kReal},
    {kOps, "window_ignored", "attention.windows", kReal},
    {kOps, "kv_f16_always", "attention.head_dims", kReal},
    {kOps, "attention_next_page", "attention.positions", "past the end of the table of KV pages"},
    {kOps, "attention_without_chunks", "attention.positions", kReal},
    {kOps, "attention_libm_exp", "attention.head_dims", kReal},
    {kOps, "parts_merged_early", "attention_parts.positions", kReal},
    {kOps, "merge_without_newest", "attention_parts.positions", kReal},
    {kOps, "glu_libm_exp", "glu.sweep", kReal},
    {kOps, "glu_negative_zero", "glu.special_values", kReal},
    {kOps, "glu_subnormals_lost", "glu.special_values", kReal},
    {kOps, "approximate_worse_than_said", "dense.plain_rows", "the table declares a tolerance of"},
    {kEngine, "unknown_must_ignored", "engine.unknown_model", "load answered BN_OK"},
    {kEngine, "unknown_activation_ignored", "engine.unknown_model", "load answered BN_OK"},
    {kEngine, "refuses_in_silence", "engine.unknown_model", "without a sentence"},
    {kEngine, "embd_scale_ignored", "engine.family_embd_scale", kReal},
    {kEngine, "window_ignored", "engine.family_window", kReal},
    {kEngine, "in_norms_ignored", "engine.family_in_norms", kReal},
    {kEngine, "qk_norms_ignored", "engine.family_qk_norms", kReal},
    {kEngine, "post_norms_ignored", "engine.family_post_norms", kReal},
    {kEngine, "biases_ignored", "engine.family_biases", kReal},
    {kEngine, "length_ignored", "engine.pooling", kReal},
    {kEngine, "last_is_mean", "engine.pooling", kReal},
    {kEngine, "always_halves", "engine.family_llama_pairs", kReal},
    {kEngine, "eps_changed", "engine.family_bitnet", kReal},
    {kEngine, "kv_f32_always", "engine.family_kv_f16", kReal},
    {kEngine, "fixed_stride", "engine.struct_sizes", "load answered"},
    {kEngine, "read_failure_is_internal", "engine.load_failures", "BN_E_INTERNAL, expected BN_E_DATA"},
    {kEngine, "borrows_scales", "engine.not_persistent", kReal},
    {kEngine, "model_leaks", "engine.unload", "bytes on the heap"},
    {kEngine, "session_leaks", "engine.unload", "bytes on the heap"},
    {kEngine, "context_overrun", "engine.context_full", "append of 11 tokens where 10 fit answered BN_OK"},
    {kEngine, "cancel_ignored", "engine.cancel", "answered BN_OK, expected BN_E_CANCELLED"},
    {kEngine, "no_heartbeat", "engine.heartbeat", "the heartbeat is 0"},
    {kEngine, "tokens_wrap", "engine.bad_tokens", "append answered BN_OK, expected BN_E_DATA"},
    {kEngine, "part_of_a_bad_append", "engine.bad_tokens", kReal},
    {kEngine, "sessions_mixed", "engine.two_sessions", kReal},
    {kEngine, "rows_not_counted", "engine.some_rows", "n_rows is 0"},
    {kEngine, "row_too_many", "engine.some_rows", "past the end of logits"},
    {kEngine, "output_cleared", "engine.struct_sizes", "past the end of bn_output"},
    {kEngine, "topk_ties_by_falling_id", "engine.other_outputs", "top_id"},
    {kEngine, "sampler_must_ignored", "engine.unknown_sampler", "answered BN_OK, expected BN_E_UNSUPPORTED"},
    {kEngine, "stop_ignored", "engine.stop_tokens", "tokens committed"},
    {kEngine, "always_greedy", "engine.decode_sampled", "tokens committed"},
    {kEngine, "generator_with_state", "engine.two_sessions", "tokens committed"},
    {kEngine, "committed_is_wish", "engine.context_full", "tokens committed"},
    {kEngine, "truncate_off_by_one", "engine.truncate", kReal},
    {"bn_boundary_no_manifest.so", "", "static.manifest", "no section .bnplug"},
    {"bn_boundary_false_manifest.so", "", "load.manifest_matches", "somebody-else"},
    {"bn_boundary_extra_export.so", "", "static.one_export", "bn_boundary_extra"},
    {"bn_boundary_static_scratch.so", "", "static.no_writable_data", "scratch_buffer"},
    {"bn_boundary_constructor_thread.so", "", "load.leaves_process_alone", "number of threads"},
    {"bn_boundary_constructor_thread.so", "", "static.no_constructors", "construct"},
    {"bn_boundary_constructor_prints.so", "", "load.entry_any_minor", "wrote to stdout: 'hello"},
    {"bn_boundary_constructor_exits.so", "", "load.entry_any_minor", "ended the process with exit code 0"},
    {"bn_boundary_exit_crashes.so", "", "load.process_ends_in_peace", "while the process ended"},
    {"bn_boundary_takes_signals.so", "", "load.leaves_process_alone", "handler of signal 15"},
    {"bn_boundary_sets_environment.so", "", "load.leaves_process_alone", "OMP_NUM_THREADS"},
    {"bn_boundary_changes_folder.so", "", "load.leaves_process_alone", "working directory"},
    {"bn_boundary_refuses_newer_host.so", "", "load.entry_any_minor", "bitnet_plugin_v1(1)"},
    {"bn_boundary_offers_any_version.so", "", "load.unknown_interface", "bn.kernels"},
    {"bn_boundary_says_nothing.so", "", "load.devices", "has a sentence"},
    {"bn_boundary_needs_error.so", "", "load.null_error", "SIGSEGV"},
    {"bn_boundary_clears_too_much.so", "", "load.struct_sizes", "past the end of bn_device_info"},
    {"bn_boundary_host_size_equality.so", "", "load.struct_sizes", "BN_E_INTERNAL"},
    {"bn_boundary_host_memory_lost.so", "", "load.open_and_close", "of bn_host.alloc were not released"},
#if defined(__x86_64__)
    {"bn_boundary_flushes_to_zero.so", "", "load.leaves_process_alone", "subnormals flushed to zero"},
#endif
};

std::string name_of(const testing::TestParamInfo<Defect>& info) {
  const Defect& d = info.param;
  std::string name = d.mutant[0] != '\0' ? d.mutant : std::string(d.file).substr(12, std::string(d.file).size() - 15);
  name += std::string("_by_") + d.test;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}
INSTANTIATE_TEST_SUITE_P(Plugin, Mutants, testing::ValuesIn(kDefects), name_of);

void expect_clean(const Report& report) {
  EXPECT_EQ(report.program.exit_code, 0) << report.program;
  EXPECT_EQ(report.json["failed"], 0);
  EXPECT_GT(report.json["passed"], 90);
}

// With sanitizers the checks themselves run in tier kernel, on every plugin; what these two add are verdicts.
constexpr const char* kOnceIsEnough = "the same checks run with sanitizers in tier kernel";

TEST(CorrectPlugin, PassesEveryTest) {
  if (BITNET_SANITIZED) GTEST_SKIP() << kOnceIsEnough;
  expect_clean(check(kOps, "", "", "300"));
}
TEST(CorrectPlugin, PassesAsAnEngine) {
  const Report report = check(kEngine, "", "", "300");
  EXPECT_EQ(report.program.exit_code, 0) << report.program;
  EXPECT_EQ(report.json["failed"], 0);
  EXPECT_GT(report.json["passed"], 40);
}
TEST(CorrectPlugin, PassesAtTheBoundary) {  // its kernels are the portable ones, judged elsewhere
  const Report report = check("bn_boundary_none.so", "", "[sl]*.*", "300");
  EXPECT_EQ(report.program.exit_code, 0) << report.program;
  EXPECT_EQ(report.json["failed"], 0);
  EXPECT_GE(report.json["passed"], BITNET_SANITIZED ? 17 : 19);
}
// Judged by what it declares: other orders of sums, libm's exp.
TEST(CorrectPlugin, ApproximateWithinItsTolerancePasses) {
  if (BITNET_SANITIZED) GTEST_SKIP() << kOnceIsEnough;
  expect_clean(check(kOps, "approximate", "", "300"));
}

}  // namespace
}  // namespace bitnet
