// tests/unit/jinja/limits_test.cpp - templates that are too large, too deep, endless, cut off, or no templates at all.
#include "jinja/limits.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/error.h"
#include "json_values.h"

namespace bitnet::jinja::test {
namespace {

std::string refusal(const std::string& source) {
  try {
    const std::string text = render(source, {{"a", 1}, {"s", "text"}, {"l", {1, 2, 3}}});
    return "no error: '" + text.substr(0, 100) + "'";
  } catch (const Error& e) {
    return e.what();
  }
}

std::string repeated(const std::string& text, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += text;
  return out;
}

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(JinjaLimits, T1_TooLarge) {
  EXPECT_CONTAINS(refusal(std::string(10 << 20, 'x')), "at most 1048576 bytes, found 10485760");
}

TEST(JinjaLimits, T1_AnErrorSaysLineAndColumn) {
  EXPECT_EQ(refusal("one\n  {{ nope.x }}"), "test: line 2, column 10: 'nope' is undefined");
  EXPECT_EQ(refusal("{% if a %}\n{% for x in l %}\n{% endfor %}"),
            "test: line 1, column 4: the statement that begins here is not closed by 'endif'");
  EXPECT_EQ(refusal("\n\n{{ a | frobnicate }}"), "test: line 3, column 8: the filter 'frobnicate' is not known");
  EXPECT_EQ(refusal("{{ a | wordwrap }}"), "test: line 1, column 8: the filter 'wordwrap' is not supported here");
  EXPECT_CONTAINS(refusal("{% include 'x' %}"), "the statement 'include' is not supported");
  EXPECT_CONTAINS(refusal("{{ raise_exception('only users') }}"), "refuses this conversation: only users");
}

TEST(JinjaLimits, T1_EndlessLoopsStop) {
  EXPECT_CONTAINS(refusal("{% for i in range(10**9) %}{% endfor %}"), "range: more than 100000 numbers");
  EXPECT_CONTAINS(refusal(repeated("{% for i in range(99999) %}", 3) + repeated("{% endfor %}", 3)), "more than 1000000 steps");
  EXPECT_CONTAINS(refusal("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), "macros call each other deeper than 16");
  EXPECT_CONTAINS(refusal("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}"), "deeper than 16");
}

TEST(JinjaLimits, T1_HugeTextsStop) {
  EXPECT_CONTAINS(refusal("{% set x = namespace(s='ab') %}{% for i in range(60) %}{% set x.s = x.s ~ x.s %}{% endfor %}"),
                  "grows beyond");
  EXPECT_CONTAINS(refusal("{{ 'abcdefgh' * 999999999 }}"), "grows beyond");
  EXPECT_CONTAINS(refusal("{% for i in range(99999) %}0123456789012345{% endfor %}"), "output grows beyond");
  EXPECT_CONTAINS(refusal("{{ [1] * 99999999 }}"), "steps");
  EXPECT_CONTAINS(refusal("{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}"),
                  "steps");
  EXPECT_CONTAINS(refusal("{% set b = 'x' * 1000000 %}{{ (b.replace('x', b)) | length }}"), "grows beyond");
  EXPECT_CONTAINS(refusal("{% set b = ['x' * 100000] * 1000 %}{{ b | tojson | length }}"), "grows beyond");
  EXPECT_CONTAINS(refusal("{% set b = ['x' * 100000] * 1000 %}{{ b | string | length }}"), "grows beyond");
  EXPECT_CONTAINS(refusal("{% set b = ['x' * 100000] * 1000 %}{{ b | join | length }}"), "grows beyond");
}

TEST(JinjaLimits, DeepNestingIsRefusedWithoutDeepStack) {
  for (const auto& [open, close] : {std::pair<std::string, std::string>{"(", ")"},
                                    {"[", "]"},
                                    {"{'a':", "}"},
                                    {"not ", ""},
                                    {"-", ""},
                                    {"a[", "]"},
                                    {"range(", ")"},
                                    {"1 if a else ", ""}}) {  // 910 kB at most
    EXPECT_CONTAINS(refusal("{{ " + repeated(open, 70000) + "1" + repeated(close, 70000) + " }}"), "nested deeper than 64")
        << open;
  }
  EXPECT_CONTAINS(refusal(repeated("{% if a %}", 40000) + repeated("{% endif %}", 40000)), "nested deeper than 64");
  EXPECT_CONTAINS(refusal("{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l] %}{% endfor %}"),
                  "lists are nested deeper than 64");
  EXPECT_CONTAINS(refusal("{% set n = namespace() %}{% set n.n = n %}"), "inside a namespace is not supported");
}

TEST(JinjaLimits, LongChainsNeedNoDeepStack) {
  EXPECT_EQ(refusal("{{ 1" + repeated("+1", 100000) + " }}"), "no error: '100001'");
  EXPECT_EQ(refusal("{{ 's'" + repeated("|trim", 100000) + " }}"), "no error: 's'");
  EXPECT_EQ(refusal("{{ 1" + repeated(" and 1", 100000) + " }}"), "no error: '1'");
  EXPECT_EQ(refusal("{{ 1" + repeated(" < 2 > 1", 50000) + " }}"), "no error: 'True'");
  EXPECT_EQ(refusal("{% if false %}" + repeated("{% elif false %}", 50000) + "{% else %}x{% endif %}"), "no error: 'x'");
  EXPECT_CONTAINS(refusal("{{ s" + repeated(".x", 100000) + " }}"), "has no attribute 'x'");
}

constexpr const char* kTemplate =
    "{%- set ns = namespace(n=0) -%}{# c #}{% for m in l if m is defined %}{% set ns.n = ns.n + 1 %}{{ loop.index ~ ': ' ~ (s "
    "| upper).split('E')[0] }}"
    "{% raw %}{{ }}{% endraw %}{% elif %}{% endfor %}{% macro f(x, y='d') %}{{ x[1:2] if y else {'k': [1, 2.5e1]} | "
    "tojson(indent=1) }}{% endmacro %}{{ f('abc') }}";

TEST(JinjaLimits, EveryPrefixGivesATextOrAnError) {
  const std::string whole = kTemplate;
  for (size_t n = 0; n <= whole.size(); ++n) {
    EXPECT_NE(refusal(whole.substr(0, n)), "");
    EXPECT_NE(refusal(whole.substr(n)), "");
  }
}

TEST(JinjaLimits, GarbageGivesATextOrAnErrorInTime) {
  std::mt19937 random(1);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 3000; ++i) {
    std::string text = kTemplate;
    for (int j = 0; j < 1 + i % 8; ++j) text[random() % text.size()] = static_cast<char>(random());
    EXPECT_NE(refusal(text), "");
    std::string bytes = "{{";
    for (int j = 0; j < 40; ++j)
      bytes += i % 2 == 0 ? static_cast<char>(random()) : "{}%#()[]'|.,:~+-*/<=> ax1\\\n"[random() % 27];
    EXPECT_NE(refusal(bytes), "");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(JinjaLimits, AMegabyteOfTagsTakesNoSquareTime) {
  const auto start = std::chrono::steady_clock::now();
  for (const char* piece :
       {"{#", "{##}", "{%raw%}{%endraw%}", "{% ", "{{a}}", " {%if a%}{%endif%}", "\n{#-#} ", "{%raw%}{%", "{{'", "{{["}) {
    EXPECT_NE(refusal(repeated(piece, kMaxTemplateBytes / std::string(piece).size())), "") << piece;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

}  // namespace
}  // namespace bitnet::jinja::test
