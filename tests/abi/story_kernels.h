/* abi/story_kernels.h - what the plugins of this folder have in common: the required op, one byte per weight, in C99.
 *
 * Compiled against the headers of different ages, so it uses nothing newer than 0.1. Include it after defining STORY_NAME. */
#include <string.h>

#include "bitnet/kernels.h"

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
  strcpy(info->name, "CPU, " STORY_NAME);
  return BN_OK;
}

static bn_status BN_CALL open_device(const bn_host* host, const char* id, const char* options, bn_device** device,
                                     bn_error* error) {
  (void)host, (void)id, (void)options, (void)error;
  *device = (bn_device*)1;
  return BN_OK;
}

static void BN_CALL close_device(bn_device* device) { (void)device; }

static int32_t BN_CALL accepts(bn_device* device, const bn_tensor* w) {
  static const uint8_t t2[16] = BN_FINGERPRINT_T2;
  (void)device;
  if (w->dtype != BN_DT_TERNARY || w->format == NULL) return BN_NO;
  return memcmp(w->format->fingerprint, t2, sizeof t2) == 0 ? BN_PACK : BN_NO;
}

static bn_status BN_CALL pack_size(bn_device* device, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* error) {
  (void)device, (void)error;
  *bytes = (uint64_t)w->rows * w->cols;
  if (layout != NULL) {
    layout->bits_num = 8;
    layout->bits_den = layout->align = layout->tile_rows = layout->tile_cols = 1;
    strcpy(layout->id, "story.i8");
  }
  return BN_OK;
}

static bn_status BN_CALL pack(bn_device* device, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* error) {
  const uint64_t row_bytes = ((uint64_t)w->cols + 3) / 4;
  uint32_t r, c;
  (void)device, (void)error;
  for (r = row0; r < row1; ++r) {
    const uint8_t* from = (const uint8_t*)w->data + r * row_bytes;
    int8_t* to = (int8_t*)dst + (uint64_t)r * w->cols;
    for (c = 0; c < w->cols; ++c) to[c] = (int8_t)((from[c / 4] >> 2 * (c % 4) & 3) - 1);
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

#define STORY_MANIFEST(minor)                                                               \
  BN_MANIFEST("{\"schema\": 1, \"abi\": [1, " #minor "], \"id\": \"org.example." STORY_NAME \
              "\", "                                                                        \
              "\"name\": \"" STORY_NAME                                                     \
              "\", \"version\": \"1\", \"kind\": \"cpu\", \"tiers\": "                      \
              "[\"kernels\"], \"arch\": [\"x86_64\", \"aarch64\"], \"cpu\": [], \"numerics\": \"exact-1\"}")
