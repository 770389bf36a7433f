// cli/validate_command.cpp - "bitnet-run validate": a report on a model file, exit code 3 when something is wrong with it.
#include "cli/commands.h"
#include "cli/json_text.h"
#include "validate/validate.h"

namespace bitnet::cli {

int validate_command(const ValidateOptions& o) {
  const validate::Report report =
      validate::validate_model(find_model(o.model), {o.strict, o.strict_tokenizers, reading_without_run(o.formats)});
  write_stdout(o.format == ReportFormat::kJUnit  ? validate::report_junit(report)
               : o.format == ReportFormat::kJson ? json_text(validate::report_json(report)) + "\n"
                                                 : validate::report_text(report));
  return report.valid() ? 0 : static_cast<int>(ErrorKind::kInvalidModel);
}

}  // namespace bitnet::cli
