// backend/ops.cpp - completes a plugin's table with portable ops and shares each op's range among the team.
#include "backend/ops.h"

#include <algorithm>

#include "bitnet/kit/arithmetic.hpp"
#include "bitnet/kit/dense_rows.hpp"
#include "bitnet/kit/portable.h"

namespace bitnet::backend {
namespace {

// f(number of the run, its first, last token + 1) for the parts of rows [t0, t1) that belong to each run.
template <class F>
bn_status each_run(std::span<const Run> runs, uint32_t t0, uint32_t t1, F&& f) {
  for (size_t i = 0; i < runs.size(); ++i) {
    const Run& run = runs[i];
    const uint32_t begin = std::max(t0, run.row), end = std::min(t1, run.row + run.n);
    if (begin >= end) continue;
    if (const bn_status status = f(i, begin - run.row, end - run.row); status != BN_OK) return status;
  }
  return BN_OK;
}

// The plugin's table; optional ops it lacks or does not know of are the portable ones.
bn_kernels_v1 complete(const bn_kernels_v1* plugin) {
  const bn_kernels_v1* portable = bn_portable_kernels();
  bn_kernels_v1 table{};
  std::memcpy(&table, plugin, std::min<size_t>(plugin->struct_size / 8 * 8, sizeof table));
  table.struct_size = sizeof table;
  if (table.dense == nullptr) {
    table.dense = portable->dense;
    table.dense_dtypes = portable->dense_dtypes;
  }
  if (table.norm == nullptr) table.norm = portable->norm;
  if (table.rope == nullptr) table.rope = portable->rope;
  if (table.attention == nullptr) table.attention = portable->attention;
  if (table.glu == nullptr) table.glu = portable->glu;
  if (table.merge_parts == nullptr) table.attention_parts = nullptr;
  table.k_align = std::max(table.k_align, 1u);
  table.row_granule = std::max(table.row_granule, 1u);
  return table;
}

}  // namespace

Ops::Ops(const bn_kernels_v1* table, bn_device* device, ThreadTeam& team)
    : table_(complete(table)), device_(device), team_(team), counters_(new Counter[kCounters]), sequence_(team.size()) {
  const uint32_t bytes = std::max(table_.scratch_bytes, bn_portable_kernels()->scratch_bytes);
  for (uint32_t i = 0; i < team.size(); ++i) scratch_.emplace_back(bytes);
}

void Ops::begin(uint32_t n_tokens, Pulse* pulse) {
  n_tokens_ = n_tokens;
  pulse_ = pulse;
  status_ = BN_OK;
  failed_op_ = "";
  for (uint32_t i = 0; i < kCounters; ++i) counters_[i].next.store(0, std::memory_order_relaxed);
  for (Sequence& s : sequence_) s = {};
}

void Ops::fail(const char* name, bn_status status) {
  bn_status ok = BN_OK;
  if (status_.compare_exchange_strong(ok, status)) failed_op_ = name;
}

template <class F>
void Ops::run_grid(uint32_t member, const char* name, uint32_t columns, uint32_t granule, uint32_t width, F&& f) {
  if (n_tokens_ >= 2 * team_.size()) {
    run(member, name, n_tokens_, 1, false,
        [&](uint32_t t0, uint32_t t1, void* scratch) { return f(t0, t1, 0u, columns, scratch); });
  } else {
    run(member, name, columns, granule, alone(columns * width),
        [&](uint32_t c0, uint32_t c1, void* scratch) { return f(0u, n_tokens_, c0, c1, scratch); });
  }
}

void Ops::embed(uint32_t member, const char* name, Activations y, const bn_tensor& table, const int32_t* tokens, float scale) {
  const uint64_t row_bytes = bn::kit::dense_row_bytes(table.dtype, table.cols);
  each_token(member, name, [&](uint32_t t) {
    float* row = y.data + static_cast<uint64_t>(t) * y.stride;
    bn::kit::decode_dense(table.dtype, static_cast<const uint8_t*>(table.data) + static_cast<uint64_t>(tokens[t]) * row_bytes,
                          0, table.cols, row);
    for (uint32_t i = 0; scale != 1.0f && i < table.cols; ++i) row[i] = row[i] * scale;
  });
}

void Ops::rms_norm(uint32_t member, const char* name, Activations y, Activations x, const float* gain, uint32_t n, float eps,
                   std::span<const uint32_t> rows) {
  const uint32_t n_rows = static_cast<uint32_t>(rows.size());
  run(member, name, n_rows, 1, n_rows == 1, [&](uint32_t v0, uint32_t v1, void* scratch) {
    bn_norm args{sizeof(bn_norm), n, eps, x.stride, y.stride, 0, nullptr, gain, nullptr, nullptr, nullptr, nullptr};
    for (uint32_t v = v0; v < v1; ++v) {
      args.x = x.data + static_cast<uint64_t>(rows[v]) * x.stride;
      args.y = y.data + static_cast<uint64_t>(v) * y.stride;
      if (const bn_status status = table_.norm(device_, &args, 0, 1, scratch); status != BN_OK) return status;
    }
    return bn_status{BN_OK};
  });
}

void Ops::rms_norms(uint32_t member, const char* name, Activations y, Activations x, const float* gain, uint32_t vectors,
                    uint32_t n, float eps) {
  run_grid(member, name, vectors, 1, n, [&](uint32_t t0, uint32_t t1, uint32_t v0, uint32_t v1, void* scratch) {
    bn_status status = BN_OK;
    for (uint64_t t = t0; t < t1 && status == BN_OK; ++t) {
      const bn_norm args{sizeof(bn_norm),       n,       eps,     n,      n, 0, x.data + t * x.stride, gain,
                         y.data + t * y.stride, nullptr, nullptr, nullptr};
      status = table_.norm(device_, &args, v0, v1, scratch);
    }
    return status;
  });
}

void Ops::quantize(uint32_t member, const char* name, Quantized y, Activations x, const float* gain, uint32_t n, float eps) {
  const bn_norm args{sizeof(bn_norm), n,    gain ? eps : -1.0f, x.stride, 0, y.stride, x.data, gain, nullptr, y.codes,
                     y.scale,         y.sum};
  run(member, name, n_tokens_, 1, n_tokens_ == 1,
      [&](uint32_t v0, uint32_t v1, void* scratch) { return table_.norm(device_, &args, v0, v1, scratch); });
}

void Ops::bit_linear(uint32_t member, Quantized x, std::span<const LinearCall> calls) {
  for (const LinearCall& call : calls) {
    const Linear& linear = *call.linear;
    const bn_matmul args{sizeof(bn_matmul), n_tokens_, &linear.weight, linear.packed, x.codes,
                         x.scale,           x.sum,     call.y.data,    x.stride,      call.y.stride};
    if (n_tokens_ >= kManyTokens) {
      matmul_by_tokens(member, linear.name, args);
    } else {
      // Kernels unpack some rows for several tokens: their tiles divide 64.
      const uint32_t granule = n_tokens_ < 16 ? table_.row_granule : (63 / table_.row_granule + 1) * table_.row_granule;
      share(member, linear.name, linear.weight.rows, granule,
            [&](uint32_t r0, uint32_t r1, void* scratch) { return table_.matmul(device_, &args, r0, r1, scratch); });
    }
  }
  team_.barrier();
}

// One unit is a token of a large part of the rows. A kernel that prepares something of each token for all rows of a call gains
// by many rows, and one that unpacks rows for all tokens still has enough of these.
void Ops::matmul_by_tokens(uint32_t member, const char* name, const bn_matmul& args) {
  const uint32_t rows = args.w->rows, granule = (127 / table_.row_granule + 1) * table_.row_granule;
  const uint32_t part = (std::max(rows / team_.size(), kPartRows) + granule - 1) / granule * granule;
  const uint32_t parts = (rows + part - 1) / part;
  share(
      member, name, parts * n_tokens_, 32,
      [&](uint32_t u0, uint32_t u1, void* scratch) {
        bn_status status = BN_OK;
        while (u0 < u1 && status == BN_OK) {  // a part at a time
          const uint32_t row = u0 / n_tokens_ * part, t = u0 % n_tokens_;
          bn_matmul some = args;
          some.m = std::min(u1 - u0, n_tokens_ - t);
          some.x += static_cast<uint64_t>(t) * args.x_stride;
          some.x_scale += t, some.x_sum += t;
          some.y += static_cast<uint64_t>(t) * args.y_stride;
          status = table_.matmul(device_, &some, row, std::min(rows, row + part), scratch);
          u0 += some.m;
        }
        return status;
      },
      kMostTokens);
}

void Ops::add_bias(uint32_t member, const char* name, Activations y, const float* bias, uint32_t n) {
  run_grid(member, name, n, 64, 1, [&](uint32_t t0, uint32_t t1, uint32_t c0, uint32_t c1, void*) {
    for (uint32_t t = t0; t < t1; ++t) {
      float* row = y.data + static_cast<uint64_t>(t) * y.stride;
      for (uint32_t c = c0; c < c1; ++c) row[c] = row[c] + bias[c];
    }
    return BN_OK;
  });
}

void Ops::rope(uint32_t member, const char* name, Activations x, bn_rope args, std::span<const Run> runs) {
  args.struct_size = sizeof args;
  args.x_stride = x.stride;
  run_grid(member, name, args.n_heads, 1, args.head_dim,
           [&](uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void* scratch) {
             return each_run(runs, t0, t1, [&](size_t i, uint32_t begin, uint32_t end) {
               bn_rope one = args;
               one.pos0 = runs[i].position;
               one.x = x.data + static_cast<uint64_t>(runs[i].row) * x.stride;
               return table_.rope(device_, &one, begin, end, h0, h1, scratch);
             });
           });
}

void Ops::plan_attention(const bn_attn& args, std::span<const Run> runs) {
  parts_.clear();
  if (table_.attention_parts == nullptr || team_.size() == 1) return;
  if (n_tokens_ >= 2 * team_.size() || runs.size() > kMostRunsByPages) return;
  uint64_t floats = 0;
  uint32_t most = 0;
  const uint32_t stride = (args.head_dim + 2 + 15) / 16 * 16;
  for (const Run& run : runs) {
    const uint32_t first = args.window != 0 && run.position + 1 > args.window ? run.position + 1 - args.window : 0;
    bn_attn_parts parts{sizeof(bn_attn_parts), first / BN_KV_PAGE, 0, stride, nullptr};
    parts.n_pages = (run.position + run.n - 1) / BN_KV_PAGE + 1 - parts.page0;
    floats += uint64_t{run.n} * args.n_heads * parts.n_pages * stride;
    most = std::max(most, parts.n_pages);
    parts_.push_back(parts);
  }
  if (most < kFewestPages) return parts_.clear();
  if (part_memory_.size() < 4 * floats) part_memory_ = AlignedBuffer(4 * (floats + floats / 2));
  float* memory = part_memory_.as<float>();
  for (size_t i = 0; i < runs.size(); ++i) {
    parts_[i].part = memory;
    memory += uint64_t{runs[i].n} * args.n_heads * parts_[i].n_pages * stride;
  }
}

// One unit is a page of a KV head, for the query heads that share it. The heads of a model seldom divide evenly among the
// members; their pages do.
void Ops::attention_by_pages(uint32_t member, const char* name, const bn_attn& args, std::span<const Run> runs,
                             const Pages* pages) {
  const uint32_t group = args.n_heads / args.n_kv_heads;
  const auto of_run = [&](size_t i) {
    bn_attn one = args;
    one.pos0 = runs[i].position;
    one.q = args.q + static_cast<uint64_t>(runs[i].row) * args.q_stride;
    one.y = args.y + static_cast<uint64_t>(runs[i].row) * args.y_stride;
    one.k = pages[i].k, one.v = pages[i].v;
    return one;
  };
  for (size_t i = 0; i < runs.size(); ++i) {
    const bn_attn one = of_run(i);
    const bn_attn_parts& parts = parts_[i];
    share(member, name, args.n_kv_heads * parts.n_pages, 1, [&](uint32_t u0, uint32_t u1, void* scratch) {
      bn_status status = BN_OK;
      while (u0 < u1 && status == BN_OK) {  // a head at a time
        const uint32_t head = u0 / parts.n_pages, page = u0 % parts.n_pages, n = std::min(u1 - u0, parts.n_pages - page);
        status = table_.attention_parts(device_, &one, &parts, 0, runs[i].n, head * group, (head + 1) * group,
                                        parts.page0 + page, parts.page0 + page + n, scratch);
        u0 += n;
      }
      return status;
    });
  }
  team_.barrier();
  run(member, name, args.n_heads, 1, false, [&](uint32_t h0, uint32_t h1, void* scratch) {
    for (size_t i = 0; i < runs.size(); ++i) {
      const bn_attn one = of_run(i);
      const bn_status status = table_.merge_parts(device_, &one, &parts_[i], 0, runs[i].n, h0, h1, scratch);
      if (status != BN_OK) return status;
    }
    return bn_status{BN_OK};
  });
}

void Ops::attention(uint32_t member, const char* name, const bn_attn& args, std::span<const Run> runs, const Pages* pages) {
  if (!parts_.empty()) return attention_by_pages(member, name, args, runs, pages);
  // One unit is the query heads of one KV head: they share its keys and values.
  const uint32_t group = args.n_heads / args.n_kv_heads;
  uint32_t longest = 0;
  for (const Run& run : runs) longest = std::max(longest, run.position + run.n);
  run_grid(member, name, args.n_heads, group, args.head_dim * longest,
           [&](uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void* scratch) {
             return each_run(runs, t0, t1, [&](size_t i, uint32_t begin, uint32_t end) {
               bn_attn one = args;
               one.pos0 = runs[i].position;
               one.q = args.q + static_cast<uint64_t>(runs[i].row) * args.q_stride;
               one.y = args.y + static_cast<uint64_t>(runs[i].row) * args.y_stride;
               one.k = pages[i].k, one.v = pages[i].v;
               return attention_in_pieces(one, begin, end, h0, h1, scratch);
             });
           });
}

// Heads [h0, h1), whole groups, of tokens [t0, t1) of a run: one call, or several with a sign of life after each.
bn_status Ops::attention_in_pieces(const bn_attn& args, uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void* scratch) {
  const uint64_t products = 2 * uint64_t{args.head_dim} * (args.pos0 + t1);  // of a query, at most
  if (products * (t1 - t0) * (h1 - h0) <= kFewProducts) return table_.attention(device_, &args, t0, t1, h0, h1, scratch);
  const uint32_t group = args.n_heads / args.n_kv_heads;
  const uint32_t tokens = std::max(1u, kQueries / group);
  bn_status status = BN_OK;
  for (uint32_t h = h0; h < h1 && status == BN_OK; h += group) {
    for (uint32_t t = t0; t < t1 && status == BN_OK; t += tokens) {
      status = table_.attention(device_, &args, t, std::min(t1, t + tokens), h, h + group, scratch);
      beat();
    }
  }
  return status;
}

void Ops::glu(uint32_t member, const char* name, Activations y, Activations gate, Activations up, uint32_t act, uint32_t n) {
  const bn_glu args{sizeof(bn_glu), act, gate.stride, up.stride, y.stride, 0, gate.data, up.data, y.data};
  run_grid(member, name, n, 64, 1, [&](uint32_t t0, uint32_t t1, uint32_t c0, uint32_t c1, void* scratch) {
    return table_.glu(device_, &args, t0, t1, c0, c1, scratch);
  });
}

void Ops::add(uint32_t member, const char* name, Activations x, Activations y, uint32_t n) {
  run_grid(member, name, n, 64, 1, [&](uint32_t t0, uint32_t t1, uint32_t c0, uint32_t c1, void*) {
    for (uint32_t t = t0; t < t1; ++t) {
      float* a = x.data + static_cast<uint64_t>(t) * x.stride;
      const float* b = y.data + static_cast<uint64_t>(t) * y.stride;
      for (uint32_t c = c0; c < c1; ++c) a[c] = a[c] + b[c];
    }
    return BN_OK;
  });
}

bn_status Ops::dense_rows(const bn_dense& args, uint32_t row0, uint32_t row1, void* scratch) const {
  const bool known = (table_.dense_dtypes >> args.w->dtype & 1) != 0;
  return (known ? table_.dense : bn_portable_kernels()->dense)(device_, &args, row0, row1, scratch);
}

void Ops::dense(uint32_t member, const char* name, Activations y, const bn_tensor& weight, Activations x, uint32_t rows) {
  const bn_dense args{sizeof(bn_dense), rows, &weight, x.data, y.data, x.stride, y.stride};
  run(
      member, name, weight.rows, table_.row_granule, false,
      [&](uint32_t r0, uint32_t r1, void* scratch) { return dense_rows(args, r0, r1, scratch); }, most_dense_rows(args));
}

}  // namespace bitnet::backend
