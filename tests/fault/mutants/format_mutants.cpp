// mutants/format_mutants.cpp - defects of accepts(), pack_size(), pack(), and of the device.
#include <cstring>
#include <vector>

#include "bitnet/kit/plugin.hpp"
#include "mutants.h"

namespace bitnet::mutants {
namespace {

bn_kernels_v1 correct() { return correct_kernels(); }

int32_t any_format(bn_device*, const bn_tensor*) { return BN_PACK; }
int32_t format_by_name(bn_device* d, const bn_tensor* w) {
  if (w->format != nullptr && std::strcmp(w->format->id, "bn.t2") == 0) return BN_PACK;
  return correct().accepts(d, w);
}
int32_t even_columns_only(bn_device* d, const bn_tensor* w) { return w->cols % 2 != 0 ? BN_NO : correct().accepts(d, w); }
int32_t wants_data(bn_device* d, const bn_tensor* w) { return w->data == nullptr ? BN_NO : correct().accepts(d, w); }
int32_t tensor_size_equality(bn_device* d, const bn_tensor* w) {
  return w->struct_size != sizeof(bn_tensor) ? BN_NO : correct().accepts(d, w);
}

bn_status relative_to_slice(bn_device* d, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* e) {
  return correct().pack(d, w, row0, row1, static_cast<uint8_t*>(dst) - row0 * row_stride(*w), e);
}
bn_status first_piece_clears(bn_device* d, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* e) {
  if (row0 == 0) std::memset(dst, 0, row_stride(*w) * w->rows);
  return correct().pack(d, w, row0, row1, dst, e);
}
bn_status row_too_many(bn_device* d, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* e) {
  std::memset(static_cast<uint8_t*>(dst) + row1 * row_stride(*w), 0, row_stride(*w));
  return correct().pack(d, w, row0, row1, dst, e);
}
bn_status padding_forgotten(bn_device*, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* e) {
  std::vector<uint8_t> whole(row_stride(*w) * w->rows);
  correct().pack(nullptr, w, row0, row1, whole.data(), e);
  for (uint32_t r = row0; r < row1; ++r) {
    std::memcpy(static_cast<uint8_t*>(dst) + r * row_stride(*w), &whole[r * row_stride(*w)], w->cols);
  }
  return BN_OK;
}
bn_status false_fingerprint(bn_device* d, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* e) {
  std::memset(layout->fingerprint, 0x77, sizeof layout->fingerprint);
  return correct().pack_size(d, w, bytes, layout, e);
}
bn_status layout_cleared(bn_device* d, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* e) {
  std::memset(layout, 0, sizeof(bn_format) + 16);
  return correct().pack_size(d, w, bytes, layout, e);
}
bn_status needs_error(bn_device* d, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* e) {
  e->code = BN_OK;
  return correct().pack_size(d, w, bytes, layout, e);
}

}  // namespace

const Mutant kFormatMutants[] = {{"any_format", [](bn_device& d) { d.table.accepts = any_format; }},
                                 {"format_by_name", [](bn_device& d) { d.table.accepts = format_by_name; }},
                                 {"even_columns_only", [](bn_device& d) { d.table.accepts = even_columns_only; }},
                                 {"wants_data", [](bn_device& d) { d.table.accepts = wants_data; }},
                                 {"tensor_size_equality", [](bn_device& d) { d.table.accepts = tensor_size_equality; }},
                                 {"relative_to_slice", [](bn_device& d) { d.table.pack = relative_to_slice; }},
                                 {"first_piece_clears", [](bn_device& d) { d.table.pack = first_piece_clears; }},
                                 {"row_too_many", [](bn_device& d) { d.table.pack = row_too_many; }},
                                 {"padding_forgotten", [](bn_device& d) { d.table.pack = padding_forgotten; }},
                                 {"false_fingerprint", [](bn_device& d) { d.table.pack_size = false_fingerprint; }},
                                 {"layout_cleared", [](bn_device& d) { d.table.pack_size = layout_cleared; }},
                                 {"needs_error", [](bn_device& d) { d.table.pack_size = needs_error; }},
                                 {"leaks", [](bn_device& d) { d.leaks = true; }},
                                 {"no_granule", [](bn_device& d) { d.table.row_granule = 0; }},
                                 {"short_table", [](bn_device& d) { d.table.struct_size = 40; }},
                                 {nullptr, nullptr}};

}  // namespace bitnet::mutants
