// cli/tokenizer_report.h - whether a tokenizer fits its model, as text and as JSON.
//
// Threads  pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bitnet.h"

namespace bitnet::cli {

// {vocab_size_match, special_tokens_present, encoding_consistency, model_expectations{expected, actual, embedding_dim},
//  special_tokens{bos, eos, eot, eom, pad, unk, end_of_generation}, errors[{kind, message}], warnings[...], model, pre}
nlohmann::json tokenizer_report_json(const Tokenizer& tokenizer, const CompatibilityReport& report);

// Some lines, each ended by a newline.
std::string tokenizer_report_text(const Tokenizer& tokenizer, const CompatibilityReport& report);

}  // namespace bitnet::cli
