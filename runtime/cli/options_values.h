// cli/options_values.h - reads option values from text, with the table's ranges; the library's readers wrap and accept NaN.
//
// `where` begins every message: "-n", "BITNET_SEED", "/etc/bitnet/bitnet.conf: seed".
//
// Errors   throws Error{kUsage}: where, expected, found.
// Threads  pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/option_table.h"
#include "cli/options.h"

namespace bitnet::cli {

// "on", "true", "yes", "1" and "off", "false", "no", "0".
bool read_flag(std::string_view where, std::string_view text);

// Decimal digits with an optional sign, within the row's range, both ends included.
int64_t read_integer(const OptionRow& row, std::string_view where, std::string_view text);

// Decimal, finite, within the row's range; the decimal point is a point in every locale.
double read_real(const OptionRow& row, std::string_view where, std::string_view text);

// Comma-separated names of letters, digits and _ . : -; none empty, at most 32.
std::vector<std::string> read_names(std::string_view where, std::string_view text);

// Token ids separated by commas, white space or both; each 0..2^31-1; at least one, at most 2^20.
std::vector<int32_t> read_ids(std::string_view where, std::string_view text);

// Appends the entries of one "ID+V,ID-V,..."; V finite.
void read_logit_bias(std::string_view where, std::string_view text, std::vector<LogitBias>& out);

// The settings of one command by long name; a wrong name is a defect of ours (std::logic_error).
class Settings {
 public:
  explicit Settings(std::span<const Setting> settings) : settings_(settings) {}

  const Setting& of(std::string_view name) const;
  bool given(std::string_view name) const { return of(name).source != Source::kDefault; }
  bool flag(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  const std::string& text(std::string_view name) const;    // the one value; empty when unset
  const std::string& choice(std::string_view name) const;  // one of the row's words
  const std::string& path(std::string_view name) const;    // not empty when given
  std::vector<std::string> paths(std::string_view name) const;
  std::vector<std::string> names(std::string_view name) const;

  // How messages call the option: as it was given.
  std::string where(std::string_view name) const;

 private:
  std::span<const Setting> settings_;
};

}  // namespace bitnet::cli
