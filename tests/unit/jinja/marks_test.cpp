// tests/unit/jinja/marks_test.cpp - a user's bytes keep their mark through everything a template does with them.
#include <gtest/gtest.h>

#include "jinja/template.h"
#include "jinja/value.h"

namespace bitnet::jinja {
namespace {

// The rendering of a template with the user's text "user" as `u`; the user's bytes are in capitals, where they are letters.
std::string marked(const std::string& source, const std::string& user = "user text") {
  const Text text = Template("test", source)
                        .render(
                            [&](Meter&) {
                              return Template::Variables{{"u", Value::text(Text::of_user(user))}};
                            },
                            0);
  std::string out = text.bytes();
  for (size_t i = 0; i < text.marks().size(); ++i) {
    if (text.marks()[i] != 0) out[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[i])));
  }
  EXPECT_TRUE(text.marks().empty() || text.marks().size() == text.size());
  return out;
}

TEST(Marks, AreKept) {
  EXPECT_EQ(marked("a {{ u }} b"), "a USER TEXT b");
  EXPECT_EQ(marked("{{ 'a' + u + 'b' ~ u }}"), "aUSER TEXTbUSER TEXT");
  EXPECT_EQ(marked("{{ ('x' + u)[0:3] }}{{ u[::-1] }}"), "xUSTXET RESU");
  EXPECT_EQ(marked("{{ ' ' ~ u | trim }}|{{ u.split(' ') | join('-') }}"), " USER TEXT|USER-TEXT");
  EXPECT_EQ(marked("{{ u | replace('e', 'ee') }}"), "USeeR TeeXT");
  EXPECT_EQ(marked("{{ 'axb' | replace('x', u) }}"), "aUSER TEXTb");
  EXPECT_EQ(marked("{{ u | lower }}{{ u | capitalize }}{{ u | title }}"), "USER TEXTUSER TEXTUSER TEXT");
  EXPECT_EQ(marked("{{ [u] | tojson }}{{ [u] }}"), "[\"USER TEXT\"]['USER TEXT']");
  EXPECT_EQ(marked("{{ {'k': u} | tojson }}", "a\"b"), "{\"k\": \"A\\\"B\"}");
  EXPECT_EQ(marked("{% for c in u %}{{ c }}.{% endfor %}", "ab"), "A.B.");
  EXPECT_EQ(marked("{% set x %}({{ u }}){% endset %}{{ x | upper | lower }}"), "(USER TEXT)");
  EXPECT_EQ(marked("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(u) }}"), "<USER TEXT>");
  EXPECT_EQ(marked("{{ u * 2 }}{{ u | indent(2, true) }}", "a\nb"), "A\nBA\nB  A\n  B");
  EXPECT_EQ(marked("{{ u.partition(' ')[2] }}{{ u.removeprefix('us') }}{{ (u ~ '\n' ~ 'x') | indent }}"),
            "TEXTER TEXTUSER TEXT\n    x");
  EXPECT_EQ(marked("{{ [u, 'b'] | sort | join }}{{ (u | list)[0] }}{{ u | first }}{{ u | reverse }}", "c"), "bCCCC");
  EXPECT_EQ(marked("{{ 'b' | default(u) }}{{ nope | default(u) }}{{ {'a': u}.get('a') }}"), "bUSER TEXTUSER TEXT");
}

}  // namespace
}  // namespace bitnet::jinja
