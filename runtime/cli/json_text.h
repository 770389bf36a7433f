// cli/json_text.h - JSON for standard output, strict whatever the data: valid UTF-8, no NaN, no infinity, one line.
//
// Threads  pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace bitnet::cli {

// Invalid UTF-8 becomes U+FFFD. No newline at the end.
std::string json_text(const nlohmann::json& value);

// null when the number is not finite or was not measured.
nlohmann::json json_number(double value);
nlohmann::json json_number(std::optional<double> value);

}  // namespace bitnet::cli
