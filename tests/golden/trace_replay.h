// golden/trace_replay.h - every operation of a recorded forward pass done again on one backend, each fed with recorded inputs.
//
// The runtime's own Ops drive the plugin's table, with two threads and the matrices as the backend wants them. So an operation
// that is wrong is named, whatever the ones before it did.
// What must hold: codes and integer sums exactly; everything else within 8 units in the last place of the row's largest value.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "backend/device.h"
#include "backend/ops.h"
#include "base/thread_team.h"
#include "golden/trace.h"
#include "model/backend_weights.h"
#include "model/model.h"
#include "model/rope_tables.h"

namespace bitnet::golden_test {

class TraceReplay {
 public:
  // All references must outlive the object.
  TraceReplay(const model::Model& model, const Trace& trace, const backend::Plugin& plugin);

  void run();

  const std::vector<std::string>& failures() const { return failures_; }  // one line each
  const std::set<std::string>& checked() const { return checked_; }       // names of the trace's entries
  double worst_ulps() const { return worst_ulps_; }                       // of all float results, in units of their row
  const std::string& worst_name() const { return worst_name_; }

 private:
  // A float matrix [tokens][stride] with the strides and the padding that the graph uses.
  struct Matrix {
    std::vector<float> values;
    backend::Activations view;
  };
  Matrix matrix(uint32_t width) const;
  Matrix recorded(const std::string& name) const;
  template <class F>
  void region(F&& f);  // f(member) on the team

  void block(uint32_t n);
  void embedding();
  void norm(const std::string& name, const std::string& input,
            const model::Gain& gain);  // of every vector of the gain's length
  void quantize(const std::vector<std::string>& products, const std::string& input, const model::Gain& gain);
  void product(const std::string& name, const backend::Linear& linear);
  struct Projection {
    std::string name;
    const model::Matrix& matrix;
    const backend::Linear& linear;
  };
  // Behind the norm called norm_name, if gain is not empty; each with its own, if the family has such norms.
  void project(const std::vector<Projection>& projections, const std::string& norm_name, const std::string& input,
               const model::Gain& gain);
  std::string after(const std::string& name, const std::string& input, const model::Gain& gain);
  void rope(const std::string& name, const std::string& input, uint32_t n_heads);
  void attention(const std::string& name, const std::string& q, const std::string& k, const std::string& v);
  void residual(const std::string& name, const std::string& x, const std::string& y);
  void gate_times_up(const std::string& name, const std::string& gate, const std::string& up);
  void head();

  void check(const std::string& name, const backend::Activations& result);
  void note(const std::string& failure) { failures_.push_back(failure); }

  const model::Model& model_;
  const bn_arch& arch_;
  const Trace& trace_;
  uint32_t n_tokens_;
  backend::OpenDevice device_;
  ThreadTeam team_;
  backend::Ops ops_;
  model::BackendWeights linears_;
  model::RopeTables rope_;

  std::vector<std::string> failures_;
  std::set<std::string> checked_;
  double worst_ulps_ = 0;
  std::string worst_name_;
};

}  // namespace bitnet::golden_test
