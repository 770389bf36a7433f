// cli/opened_model.h - a model, its tokenizer and the backends for it: what every command opens that runs a model.
//
// What was doubtful is logged and kept, for reports.
// Errors  as model::Model, Tokenizer and backend::Registry; Error{kInvalidModel} when vocabulary and embeddings do not fit.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bitnet.h"
#include "cli/options.h"

namespace bitnet::cli {

class OpenedModel {
 public:
  OpenedModel(const std::optional<std::string>& named, const FormatOptions& formats, const ComputeOptions& compute,
              bool check_tensors, bool strict_tokenizers, const std::optional<std::string>& tokenizer = std::nullopt);

  model::Model& model() { return *model_; }
  const model::Model& model() const { return *model_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const backend::Registry& registry() const { return *registry_; }  // after find_backends()

  // Positions: what the user wants, 0: what the model has. Error{kUsage} for more than that.
  uint32_t context_size(int wanted) const;
  // The backends to try, in order; says which of those asked for cannot be tried.
  backend::Order find_backends(const ComputeOptions& options);
  // What all commands want of a session; head, guesses and least context are theirs.
  static engine::SessionOptions session_options(const ComputeOptions& options, uint32_t n_ctx);

  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::vector<engine::Fallback>& left_out() const { return left_out_; }  // asked for and not even tried
  double open_seconds() const { return open_seconds_; }
  double find_seconds() const { return find_seconds_; }

 private:
  void check_vocabulary();
  void note(const std::vector<std::string>& warnings);

  std::unique_ptr<model::Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<backend::Registry> registry_;
  std::vector<std::string> warnings_;
  std::vector<engine::Fallback> left_out_;
  double open_seconds_ = 0, find_seconds_ = 0;
};

// Error{kInvalidModel} naming the command that does it, for a model without an output head.
void refuse_embedding_model(const model::Model& model);

}  // namespace bitnet::cli
