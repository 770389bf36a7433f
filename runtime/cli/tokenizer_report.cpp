// cli/tokenizer_report.cpp - writes the report of a tokenizer's fit.
#include "cli/tokenizer_report.h"

#include <array>

#include "cli/json_text.h"

namespace bitnet::cli {
namespace {

using nlohmann::json;

struct Role {
  const char* name;
  std::optional<int32_t> id;
};

std::array<Role, 6> roles_of(const Tokenizer& t) {
  return {{{"bos", t.bos()}, {"eos", t.eos()}, {"eot", t.eot()}, {"eom", t.eom()}, {"pad", t.pad()}, {"unk", t.unk()}}};
}

json token_json(const Tokenizer& tokenizer, int32_t id) { return {{"id", id}, {"text", tokenizer.token_text(id)}}; }

std::string token_name(const Tokenizer& tokenizer, int32_t id) {
  return fmt::format("{} {}", id, printable(tokenizer.token_text(id)));
}

json findings_json(const std::vector<TokenizerFinding>& findings) {
  json out = json::array();
  for (const TokenizerFinding& finding : findings) {
    out.push_back({{"kind", fault_name(finding.fault)}, {"message", finding.message}});
  }
  return out;
}

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

std::string sizes_text(const CompatibilityReport& report) {
  const auto& sizes = report.model_expectations;
  if (!sizes.expected) return fmt::format("{} tokens, not compared", sizes.actual);
  return fmt::format("{} tokens, {} rows of embeddings {} wide: {}", sizes.actual, *sizes.expected, *sizes.embedding_dim,
                     report.vocab_size_match.value_or(false) ? "match" : "differ");
}

}  // namespace

json tokenizer_report_json(const Tokenizer& tokenizer, const CompatibilityReport& report) {
  json special = json::object();
  for (const Role& role : roles_of(tokenizer)) special[role.name] = role.id ? token_json(tokenizer, *role.id) : json();
  special["end_of_generation"] = json::array();
  for (const int32_t id : tokenizer.end_of_generation_ids()) special["end_of_generation"].push_back(token_json(tokenizer, id));
  json warnings = findings_json(report.warnings);
  for (const json& note : findings_json(report.notes)) warnings.push_back(note);
  for (const std::string& warning : tokenizer.warnings()) warnings.push_back({{"kind", "Tokenizer"}, {"message", warning}});
  return {{"vocab_size_match", or_null(report.vocab_size_match)},
          {"special_tokens_present", report.special_tokens_present},
          {"encoding_consistency", report.encoding_consistency},
          {"model_expectations",
           {{"expected", or_null(report.model_expectations.expected)},
            {"actual", report.model_expectations.actual},
            {"embedding_dim", or_null(report.model_expectations.embedding_dim)}}},
          {"special_tokens", special},
          {"model", tokenizer.model()},
          {"pre", tokenizer.pre().empty() ? json() : json(tokenizer.pre())},
          {"pre_inferred", tokenizer.pre_inferred()},
          {"errors", findings_json(report.errors)},
          {"warnings", warnings}};
}

std::string tokenizer_report_text(const Tokenizer& tokenizer, const CompatibilityReport& report) {
  std::string out = fmt::format("vocabulary        {}\n", sizes_text(report));
  out += fmt::format("kind              {}{}{}\n", printable(tokenizer.model()),
                     tokenizer.pre().empty() ? "" : ", pre-tokenizer " + tokenizer.pre(),
                     tokenizer.pre_inferred() ? " (inferred)" : "");
  for (const Role& role : roles_of(tokenizer)) {
    if (role.id) out += fmt::format("{:<18}{}\n", role.name, token_name(tokenizer, *role.id));
  }
  for (const int32_t id : tokenizer.end_of_generation_ids()) {
    out += fmt::format("ends an answer    {}\n", token_name(tokenizer, id));
  }
  out += fmt::format("special tokens    {}\n", report.special_tokens_present ? "present" : "missing");
  out += fmt::format("encoding          {}\n", report.encoding_consistency ? "consistent" : "not consistent");
  for (const std::string& warning : tokenizer.warnings()) out += fmt::format("warning: {}\n", warning);
  for (const TokenizerFinding& f : report.warnings) out += fmt::format("warning: {}: {}\n", fault_name(f.fault), f.message);
  for (const TokenizerFinding& f : report.notes) out += fmt::format("warning: {}: {}\n", fault_name(f.fault), f.message);
  for (const TokenizerFinding& f : report.errors) out += fmt::format("error: {}: {}\n", fault_name(f.fault), f.message);
  return out;
}

}  // namespace bitnet::cli
