// abi/abi_listing.cpp - regular expressions over our own headers, whose style is known.
#include "abi/abi_listing.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "support/files.h"

namespace bitnet::test {
namespace {

constexpr const char* kHeaders[] = {"plugin.h", "formats.h", "kernels.h", "model.h", "engine.h"};

template <class F>
void for_each_match(const std::string& text, const std::string& pattern, F&& f) {
  const std::regex regex(pattern);
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) f(*it);
}

// Without comments, and with every macro on one line.
std::string readable(std::string text) {
  for (size_t start; (start = text.find("/*")) != text.npos;) text.erase(start, text.find("*/", start) + 2 - start);
  for (size_t at; (at = text.find("\\\n")) != text.npos;) text.erase(at, 2);
  return text;
}

// "const float *x, *gain" -> x, gain; "bn_status(BN_CALL* open)(const bn_host*, ...)" -> open
std::vector<std::string> declared_names(const std::string& declaration) {
  std::smatch match;
  if (std::regex_search(declaration, match, std::regex(R"(\(BN_CALL\s*\*\s*(\w+)\))"))) return {match[1]};
  std::vector<std::string> names;
  for_each_match(declaration, R"((\w+)\s*(\[[^\]]*\])?\s*(,|$))", [&](const std::smatch& m) { names.push_back(m[1]); });
  return names;
}

std::vector<std::string> fields_of(const std::string& body) {
  std::vector<std::string> fields;
  std::istringstream declarations(body);
  for (std::string declaration; std::getline(declarations, declaration, ';');) {
    for (const std::string& name : declared_names(declaration)) fields.push_back(name);
  }
  return fields;
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

void read_header(const std::string& text, Declarations& all) {
  for_each_match(text, R"(typedef struct (\w+) \{([^}]*)\} (\w+);)", [&](const std::smatch& m) {
    all.structs.push_back({m[3], fields_of(m[2])});
  });
  for_each_match(text, R"(typedef struct (\w+) (\w+);)", [&](const std::smatch& m) { all.opaque.push_back(m[2]); });
  for_each_match(text, R"(#\s*define (BN_\w+) +([^\n]+))", [&](const std::smatch& m) {
    const char first = m[2].str().front();
    if (first == '"') add_once(all.texts, m[1]);
    if (first == '{') add_once(all.bytes, m[1]);
    if (first >= '0' && first <= '9') add_once(all.values, m[1]);
  });
  for_each_match(text, R"(enum \{([^}]*)\})", [&](const std::smatch& m) {
    for_each_match(m[1], R"((BN_\w+)\s*=)", [&](const std::smatch& value) { add_once(all.values, value[1]); });
  });
}

}  // namespace

Declarations read_declarations(const std::string& folder) {
  Declarations all;
  for (const char* header : kHeaders) read_header(readable(read_text(folder + "/" + header)), all);
  return all;
}

std::string printing_program(const Declarations& all) {
  std::string text = "#include \"bitnet/engine.h\"\n#include \"abi/type_names.hpp\"\n";
  const auto add = [&](const char* macro, const std::string& arguments) {
    text += std::string("ABI_") + macro + "(" + arguments + ")\n";
  };
  for (const std::string& name : all.opaque) add("NAMED", name);
  for (const auto& s : all.structs) add("NAMED", s.name);
  text += "int main() {\n";
  for (const auto& s : all.structs) {
    add("STRUCT", s.name);
    for (const std::string& field : s.fields) add("FIELD", s.name + ", " + field);
  }
  for (const std::string& name : all.values) add("VALUE", name);
  for (const std::string& name : all.texts) add("TEXT", name);
  for (const std::string& name : all.bytes) add("BYTES", name);
  return text + "}\n";
}

std::string agreeing_c_source(const std::vector<std::string>& facts) {
  std::string text = "#include \"bitnet/engine.h\"\n";
  int n = 0;
  const auto assert_that = [&](const std::string& condition) {
    text += "typedef char agrees" + std::to_string(n++) + "[(" + condition + ") ? 1 : -1];\n";
  };
  std::smatch m;
  for (const std::string& fact : facts) {
    if (std::regex_match(fact, m, std::regex(R"(struct (\w+) = (\d+) bytes.*)"))) {
      assert_that("sizeof(" + m[1].str() + ") == " + m[2].str());
    } else if (std::regex_match(fact, m, std::regex(R"(field (\w+)\.(\w+) = at (\d+).*)"))) {
      assert_that("offsetof(" + m[1].str() + ", " + m[2].str() + ") == " + m[3].str());
    } else if (std::regex_match(fact, m, std::regex(R"(value (\w+) = (-?\d+))"))) {
      assert_that(m[1].str() + " == " + m[2].str());
    }
  }
  return text;
}

std::map<std::string, std::string> by_name(const std::vector<std::string>& facts) {
  std::map<std::string, std::string> map;
  for (const std::string& fact : facts) {
    const size_t equals = fact.find(" = ");
    if (equals != fact.npos && fact[0] != '#') map[fact.substr(0, equals)] = fact.substr(equals + 3);
  }
  return map;
}

size_t end_of(const std::map<std::string, std::string>& facts, const std::string& field) {
  size_t offset = 0, bytes = 0;
  const auto fact = facts.find("field " + field);
  if (fact == facts.end() || std::sscanf(fact->second.c_str(), "at %zu, %zu", &offset, &bytes) != 2) {
    throw std::runtime_error("there is no field " + field);
  }
  return offset + bytes;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace bitnet::test
