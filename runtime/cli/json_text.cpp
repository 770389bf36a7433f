// cli/json_text.cpp - writes strict JSON.
#include "cli/json_text.h"

#include <cmath>

namespace bitnet::cli {

std::string json_text(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

nlohmann::json json_number(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); }

nlohmann::json json_number(std::optional<double> value) { return value ? json_number(*value) : nlohmann::json(); }

}  // namespace bitnet::cli
