// conformance/report.cpp - see report.h.
#include "report.h"

#include "check.h"
#include "random.h"

namespace bitnet::conformance {
namespace {

using Outcome = Result::Outcome;

// Bytes outside printable ASCII become '?': messages of plugins may hold anything.
std::string escaped_json(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c >= 0x20 && c < 0x7F ? c : c == '\n' ? ' ' : '?';
  }
  return out + "\"";
}

std::string escaped_xml(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c >= 0x20 && c < 0x7F ? c : c == '\n' ? ' ' : '?';
    }
  }
  return out;
}

const char* word(Outcome outcome) {
  return outcome == Outcome::kPassed ? "passed" : outcome == Outcome::kFailed ? "failed" : "not_applicable";
}

}  // namespace

Counts count(const std::vector<Result>& results) {
  Counts counts;
  for (const Result& r : results) {
    ++(r.outcome == Outcome::kPassed ? counts.passed : r.outcome == Outcome::kFailed ? counts.failed : counts.not_applicable);
    counts.no_device |= r.no_device;
  }
  return counts;
}

void print_text(std::FILE* to, const Result& r) {
  const char* mark = r.outcome == Outcome::kPassed ? "ok  " : r.outcome == Outcome::kFailed ? "FAIL" : "n/a ";
  std::fprintf(to, "%s  %-34s %6.2f s%s%s\n", mark, r.name.c_str(), r.seconds, r.outcome == Outcome::kNotApplicable ? "  " : "",
               r.outcome == Outcome::kNotApplicable ? r.text.c_str() : "");
  if (r.outcome != Outcome::kFailed) return;
  std::fprintf(to, "      %s\n", r.text.c_str());
  if (!r.where.empty()) std::fprintf(to, "      in:   %s\n", r.where.c_str());
  std::fprintf(to, "      rule: %s\n", r.rule.c_str());
}

void print_counts(std::FILE* to, const Counts& c) {
  std::fprintf(to, "%zu passed, %zu failed, %zu not applicable%s\n", c.passed, c.failed, c.not_applicable,
               c.no_device ? " (no device on this machine)" : "");
}

void print_json(std::FILE* to, const std::string& plugin, const std::vector<Result>& results) {
  const Counts c = count(results);
  std::fprintf(to, "{\"plugin\": %s, \"seed\": %llu, \"passed\": %zu, \"failed\": %zu, \"not_applicable\": %zu, \"tests\": [",
               escaped_json(plugin).c_str(), static_cast<unsigned long long>(base_seed), c.passed, c.failed, c.not_applicable);
  const char* separator = "\n";
  for (const Result& r : results) {
    std::fprintf(to, "%s  {\"name\": %s, \"outcome\": \"%s\", \"seconds\": %.3f", separator, escaped_json(r.name).c_str(),
                 word(r.outcome), r.seconds);
    if (r.outcome == Outcome::kNotApplicable) std::fprintf(to, ", \"reason\": %s", escaped_json(r.text).c_str());
    if (r.outcome == Outcome::kFailed) {
      std::fprintf(to, ", \"failure\": %s, \"where\": %s, \"rule\": %s", escaped_json(r.text).c_str(),
                   escaped_json(r.where).c_str(), escaped_json(r.rule).c_str());
    }
    std::fprintf(to, "}");
    separator = ",\n";
  }
  std::fprintf(to, "\n]}\n");
}

void print_junit(std::FILE* to, const std::string& plugin, const std::vector<Result>& results) {
  const Counts c = count(results);
  std::fprintf(to, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
  std::fprintf(to, "<testsuite name=\"%s\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\">\n",
               escaped_xml(plugin).c_str(), results.size(), c.failed, c.not_applicable);
  for (const Result& r : results) {
    const size_t dot = r.name.find('.');
    std::fprintf(to, "<testcase classname=\"%s\" name=\"%s\" time=\"%.3f\"", r.name.substr(0, dot).c_str(),
                 r.name.substr(dot + 1).c_str(), r.seconds);
    if (r.outcome == Outcome::kPassed) {
      std::fprintf(to, "/>\n");
    } else if (r.outcome == Outcome::kNotApplicable) {
      std::fprintf(to, "><skipped message=\"%s\"/></testcase>\n", escaped_xml(r.text).c_str());
    } else {
      std::fprintf(to, "><failure message=\"%s\">in: %s\nrule: %s</failure></testcase>\n", escaped_xml(r.text).c_str(),
                   escaped_xml(r.where).c_str(), escaped_xml(r.rule).c_str());
    }
  }
  std::fprintf(to, "</testsuite>\n</testsuites>\n");
}

}  // namespace bitnet::conformance
