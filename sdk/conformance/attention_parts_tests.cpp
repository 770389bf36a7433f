// conformance/attention_parts_tests.cpp - attention in two steps: the parts of pages, and their merge.
#include "attention_case.h"

namespace bitnet::conformance {
namespace {

constexpr char kDefinition[] =
    "exact-1, attention in two steps: each page by itself (its largest score, sum of weights, sums of values), in any order; "
    "merged rising they give the bits of attention. The part of a page without a visible position is never touched";

struct PartsCase : AttentionCase {
  uint32_t spare = 0;  // floats between parts
  uint32_t page0() const { return window != 0 && pos0 + 1 > window ? (pos0 + 1 - window) / BN_KV_PAGE : 0; }
  uint32_t n_pages() const { return (pos0 + tokens - 1) / BN_KV_PAGE + 1 - page0(); }
  uint32_t stride() const { return head_dim + 2 + spare; }
  size_t part_floats() const { return static_cast<size_t>(tokens) * n_heads * n_pages() * stride(); }
  bn_attn_parts parts(float* part) const { return {sizeof(bn_attn_parts), page0(), n_pages(), stride(), part}; }
  Range all_tokens() const { return {0, tokens}; }
};

// Parts of all pages, or of those asked for.
class Parts : public OperationOf<bn_attn> {
 public:
  Parts(const PartsCase& c, const PageNumbers& numbers, Edge edge)
      : page0_(c.page0()),
        k_("a page of keys", c, numbers.keys, c.all_tokens(), edge),
        v_("a page of values", c, numbers.values, c.all_tokens(), edge),
        q_("q", Random(c.head_dim).normals(c.floats(), c.score_size), edge),
        parts_("parts", untouched<float>(c.part_floats()), c.stride(), false, edge),
        found_(c.parts(parts_.found())),
        expected_(c.parts(nullptr)) {
    n_a = c.tokens;
    n_b = c.n_heads;
    args_ = reference_ = attention_arguments(c, k_, v_, q_.data(), nullptr);
    ask_for({0, c.n_pages()});
  }
  void ask_for(Range pages) { pages_ = {page0_ + pages.first, page0_ + pages.second}; }
  const char* name() const override { return "attention_parts"; }
  void reset() override { parts_.reset(); }
  void run_reference(Range tokens, Range heads) override {
    expected_.part = parts_.expected.data();
    reference().attention_parts(nullptr, &reference_, &expected_, tokens.first, tokens.second, heads.first, heads.second,
                                pages_.first, pages_.second, nullptr);
  }
  bn_status call(const bn_kernels_v1& k, bn_device* d, const void* a, Range tokens, Range heads, void* scratch) const override {
    return k.attention_parts(d, static_cast<const bn_attn*>(a), &found_, tokens.first, tokens.second, heads.first, heads.second,
                             pages_.first, pages_.second, scratch);
  }
  void check(const Accuracy& accuracy) const override { parts_.check(accuracy); }

 private:
  uint32_t page0_;
  Range pages_;
  Pages k_, v_;
  Input<float> q_;
  Output<float> parts_;
  bn_attn_parts found_, expected_;
};

// y from the reference's parts; what it has to equal is the reference's attention.
class Merge : public OperationOf<bn_attn> {
 public:
  Merge(const PartsCase& c, const PageNumbers& numbers, Edge edge)
      : k_("a page of keys", c, numbers.keys, c.all_tokens(), edge),
        v_("a page of values", c, numbers.values, c.all_tokens(), edge),
        q_(Random(c.head_dim).normals(c.floats(), c.score_size)),
        y_("y", untouched<float>(c.floats()), c.width() + c.gap, false, edge),
        parts_("parts", reference_parts(c), edge),
        found_(c.parts(const_cast<float*>(parts_.data()))) {
    n_a = c.tokens;
    n_b = c.n_heads;
    args_ = reference_ = attention_arguments(c, k_, v_, q_.data(), y_.found());
    args_.q = nullptr, args_.k = args_.v = nullptr;  // not used
  }
  const char* name() const override { return "merge_parts"; }
  void reset() override { y_.reset(); }
  void run_reference(Range tokens, Range heads) override {
    reference_.y = y_.expected.data();
    reference().attention(nullptr, &reference_, tokens.first, tokens.second, heads.first, heads.second, nullptr);
  }
  bn_status call(const bn_kernels_v1& k, bn_device* d, const void* a, Range tokens, Range heads, void* scratch) const override {
    return k.merge_parts(d, static_cast<const bn_attn*>(a), &found_, tokens.first, tokens.second, heads.first, heads.second,
                         scratch);
  }
  void check(const Accuracy& accuracy) const override { y_.check(accuracy); }

 private:
  std::vector<float> reference_parts(const PartsCase& c) const {
    std::vector<float> values(c.part_floats(), std::numeric_limits<float>::quiet_NaN());
    const bn_attn_parts parts = c.parts(values.data());
    const bn_attn a = attention_arguments(c, k_, v_, q_.data(), nullptr);
    reference().attention_parts(nullptr, &a, &parts, 0, c.tokens, 0, c.n_heads, parts.page0, parts.page0 + parts.n_pages,
                                nullptr);
    return values;
  }
  Pages k_, v_;
  std::vector<float> q_;
  Output<float> y_;
  Input<float> parts_;
  bn_attn_parts found_;
};

void check(Subject& s, const PartsCase& c) {
  BN_NEEDS_OP(s, attention_parts);
  BN_NEEDS_OP(s, merge_parts);
  const Where where(c.text());
  const PageNumbers numbers(c);
  for (const Edge edge : kBothEdges) {
    const Where at(name_of(edge));
    const auto scratch = s.scratch(edge);
    Parts parts(c, numbers, edge);
    for (const std::vector<Range>& cut : ways_to_cut(c.n_pages(), 1)) {
      for (const Range& pages : cut) {
        parts.ask_for(pages);
        check_ranges(s, parts, {{0, c.tokens}}, {{0, c.n_heads}}, *scratch);
      }
    }
    Merge merge(c, numbers, edge);
    for (const std::vector<Range>& heads : ways_to_cut(c.n_heads, 1)) check_ranges(s, merge, {{0, c.tokens}}, heads, *scratch);
  }
}

constexpr uint32_t kKvDtypes[] = {BN_DT_F16, BN_DT_F32};

std::vector<std::unique_ptr<Operation>> typical(Subject& s, Edge edge) {
  BN_NEEDS_OP(s, attention_parts);
  BN_NEEDS_OP(s, merge_parts);
  std::vector<std::unique_ptr<Operation>> operations;
  for (const uint32_t kv : kKvDtypes) {
    for (const PartsCase& c :
         {PartsCase{{128, 8, 2, kv, 390, 2, 0, 1.0f, true}, 14}, PartsCase{{100, 4, 4, kv, 253, 5, 200, 3.0f, false, 7}}}) {
      const PageNumbers numbers(c);
      operations.push_back(std::make_unique<Parts>(c, numbers, edge));
      operations.push_back(std::make_unique<Merge>(c, numbers, edge));
    }
  }
  return operations;
}

void head_dims(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t head_dim : {16u, 20u, 80u, 100u, 128u, 256u, 288u}) check(s, {{head_dim, 4, 2, kv, 300}});
  }
}

void groupings(Subject& s) {
  for (const auto& [heads, kv_heads] : std::vector<Range>{{1, 1}, {5, 5}, {4, 1}, {20, 5}, {6, 3}, {5, 1}}) {
    check(s, {{64, heads, kv_heads, BN_DT_F32, 260, 1, 0, 1.0f, true}, 3});
  }
}

void positions(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t pos0 : {0u, 1u, 15u, 126u, 127u, 128u, 129u, 255u, 256u, 384u, 700u}) check(s, {{128, 4, 1, kv, pos0}});
  }
}

// Pages that some of the tokens see, and others do not.
void several_tokens(Subject& s) {
  for (const uint32_t pos0 : {0u, 120u, 127u, 250u}) check(s, {{64, 5, 1, BN_DT_F32, pos0, 12}});
  check(s, {{64, 2, 2, BN_DT_F16, 5, 140}});
}

void windows(Subject& s) {
  for (const uint32_t window : {1u, 16u, 127u, 128u, 129u, 200u, 1000u}) {
    check(s, {{64, 4, 2, BN_DT_F16, 300, 3, window}});
    check(s, {{64, 2, 1, BN_DT_F32, 380, 9, window}, 1});
  }
}

void sizes_of_scores(Subject& s) {
  for (const float size : {0.0f, 1e-30f, 100.0f, 1e30f}) check(s, {{128, 2, 1, BN_DT_F32, 290, 1, 0, size}});
}

}  // namespace

Tests attention_parts_tests() {
  Tests tests = {
      {"attention_parts.head_dims", kDefinition, head_dims}, {"attention_parts.groupings", kDefinition, groupings},
      {"attention_parts.positions", kDefinition, positions}, {"attention_parts.several_tokens", kDefinition, several_tokens},
      {"attention_parts.windows", kDefinition, windows},     {"attention_parts.sizes_of_scores", kDefinition, sizes_of_scores}};
  add_common_tests(tests, "attention_parts", typical);
  return tests;
}

}  // namespace bitnet::conformance
