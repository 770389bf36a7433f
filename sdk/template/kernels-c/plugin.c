/* plugin.c - backend "acme_c", a whole kernels plugin in one file of C99: the required op only, one byte per weight.
 *
 * To make it yours, replace acme_c, com.example.acme-c and Example Inc. here and acme_c in CMakeLists.txt. */
#include <string.h>

#include "bitnet/kernels.h"

/* Read from the file before any of this code runs. */
BN_MANIFEST(
    "{\"schema\": 1, \"abi\": [1, 0], \"id\": \"com.example.acme-c\", \"name\": \"acme_c\", \"version\": \"0.1.0\","
    " \"kind\": \"cpu\", \"tiers\": [\"kernels\"], \"arch\": [\"x86_64\", \"aarch64\"], \"cpu\": [],"
    " \"numerics\": \"exact-1\"}");

/* A negative answer has a sentence. */
static bn_status answer(bn_error* error, bn_status code, const char* message) {
  if (error != NULL) {
    error->code = code;
    strncpy(error->message, message, sizeof error->message - 1);
    error->message[sizeof error->message - 1] = '\0';
  }
  return code;
}

static bn_status BN_CALL enumerate(const bn_host* host, uint32_t index, bn_device_info* info, bn_error* error) {
  (void)host;
  if (index > 0) return answer(error, BN_E_UNSUPPORTED, "one device");
  info->kind = BN_DEV_CPU;
  strcpy(info->id, "cpu");
  strcpy(info->name, "CPU, acme kernels in C");
  return BN_OK;
}

/* The kernels keep no state, so a device is nothing but an address. */
static bn_status BN_CALL open_device(const bn_host* host, const char* id, const char* options, bn_device** device,
                                     bn_error* error) {
  (void)host, (void)id, (void)options, (void)error;
  *device = (bn_device*)1;
  return BN_OK;
}

static void BN_CALL close_device(bn_device* device) { (void)device; }

/* bn.t2, the layout everybody must take; the runtime converts all others to it. */
static int32_t BN_CALL accepts(bn_device* device, const bn_tensor* w) {
  static const uint8_t t2[16] = BN_FINGERPRINT_T2;
  (void)device;
  if (w->dtype != BN_DT_TERNARY || w->format == NULL || w->cols == 0 || w->cols > BN_K_MAX) return BN_NO;
  return memcmp(w->format->fingerprint, t2, sizeof t2) == 0 ? BN_PACK : BN_NO;
}

static bn_status BN_CALL pack_size(bn_device* device, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* error) {
  if (accepts(device, w) != BN_PACK) return answer(error, BN_E_UNSUPPORTED, "pack: expected a ternary matrix in bn.t2");
  *bytes = (uint64_t)w->rows * w->cols;
  if (layout != NULL) {
    layout->bits_num = 8;
    layout->bits_den = 1;
    layout->align = layout->tile_rows = layout->tile_cols = 1;
    strcpy(layout->id, "acme.i8");
  }
  return BN_OK;
}

/* Rows [row0, row1) to one byte per weight, -1, 0 or 1; dst is the start of the whole buffer. */
static bn_status BN_CALL pack(bn_device* device, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* error) {
  const uint64_t row_bytes = ((uint64_t)w->cols + 3) / 4;
  uint32_t r, c;
  if (accepts(device, w) != BN_PACK) return answer(error, BN_E_UNSUPPORTED, "pack: expected a ternary matrix in bn.t2");
  for (r = row0; r < row1; ++r) {
    const uint8_t* from = (const uint8_t*)w->data + r * row_bytes;
    int8_t* to = (int8_t*)dst + (uint64_t)r * w->cols;
    for (c = 0; c < w->cols; ++c) {
      const int code = from[c / 4] >> 2 * (c % 4) & 3;
      if (code == 3) return answer(error, BN_E_DATA, "pack: a row holds the code 3; codes are 0, 1, 2");
      to[c] = (int8_t)(code - 1);
    }
  }
  return BN_OK;
}

static bn_status BN_CALL matmul(bn_device* device, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  uint32_t r, t, c;
  (void)device, (void)scratch;
  for (r = row0; r < row1; ++r) {
    const int8_t* row = (const int8_t*)a->packed + (uint64_t)r * a->w->cols;
    const float w_scale = a->w->n_scales == 1 ? a->w->scales[0] : a->w->scales[r];
    for (t = 0; t < a->m; ++t) {
      const int8_t* x = a->x + (uint64_t)t * a->x_stride;
      int32_t dot = 0;
      for (c = 0; c < a->w->cols; ++c) dot += row[c] * x[c];
      a->y[(uint64_t)t * a->y_stride + r] = (float)dot * (a->x_scale[t] * w_scale);
    }
  }
  return BN_OK;
}

/* numerics, tolerance, row_granule, k_align, scratch_bytes, the required op. The optional ops stay null: the runtime uses its
 * own for them. */
static const bn_kernels_v1 table = {
    sizeof(bn_kernels_v1), BN_EXACT_1, 0.0f, 1, 1, 0, accepts, pack_size, pack, matmul, 0, NULL, NULL, NULL, NULL, NULL};

static const void* BN_CALL get_interface(bn_device* device, const char* id) {
  (void)device;
  return strcmp(id, BN_KERNELS_ID) == 0 ? &table : NULL;
}

static const bn_plugin plugin = {sizeof(bn_plugin), BN_ABI_MINOR, "com.example.acme-c", "0.1.0",      "Example Inc.", 0,
                                 enumerate,         open_device,  close_device,         get_interface};

const bn_plugin* BN_CALL bitnet_plugin_v1(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  return &plugin;
}
