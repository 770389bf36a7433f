/* bitnet/formats.h - tensors as plugins see them, and the bit layouts of weights.
 *
 * Matrices are row major; `cols` is the summed dimension K, `rows` the outputs M. A ternary weight w is stored as the
 * code w+1 in {0,1,2}; 3 never occurs (the runtime refuses it at load).
 */
#ifndef BITNET_FORMATS_H
#define BITNET_FORMATS_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { /* dtype. Values are little-endian; block formats as in GGUF (sdk/README.md lists the formulas) */
       BN_DT_F32 = 1,
       BN_DT_F16 = 2,
       BN_DT_BF16 = 3,
       BN_DT_I8_ROW = 4,  /* int8 with one f32 scale per row (bn_tensor.scales) */
       BN_DT_TERNARY = 5, /* bn_tensor.format says how */
       BN_DT_Q8_0 = 16,
       BN_DT_Q4_0 = 17,
       BN_DT_Q4_K = 18,
       BN_DT_Q5_K = 19,
       BN_DT_Q6_K = 20
};

typedef struct bn_format { /* how ternary codes lie in memory */
  uint32_t struct_size;
  uint32_t bits_num, bits_den;   /* storage per weight: 2/1, 8/5 */
  uint32_t align;                /* base alignment readers may rely on, bytes */
  uint32_t tile_rows, tile_cols; /* smallest independently readable tile */
  uint64_t flags;
  char id[32];             /* for messages; "bn.t2" is the interchange layout */
  uint8_t fingerprint[16]; /* the identity: see below */
} bn_format;

/* Fingerprint: the first 16 bytes of SHA-256 over the packed codes of the canonical matrix of 256 rows and 1024 columns,
 * w+1 = (((r*1024 + c) * 2654435761 mod 2^32) >> 16) mod 3, so laid out. Names lie, bytes do not: four layouts of equal
 * size are called i2_s, and reading one as another gives nonsense without an error. */

/* bn.t2, the interchange layout everybody must accept: code(r,c) in bits 2(c mod 4) of byte c/4 of row r; a row is
 * (cols+3)/4 bytes, unused bits of its last byte hold code 1; rows follow each other without gap. */
#define BN_FINGERPRINT_T2 \
  { 0xf5, 0x5d, 0xea, 0x1e, 0x42, 0x16, 0x1a, 0x48, 0xd8, 0xa7, 0xf0, 0xc0, 0xf5, 0xb8, 0xb3, 0x30 }
/* bn.i2s128, the layout of published I2_S files (cols a multiple of 128): a row is cols/4 bytes, groups of 128 columns in
 * 32 bytes; column j of a group is in byte j mod 32, bits 6-2(j/32) and 7-2(j/32). */
#define BN_FINGERPRINT_I2S128 \
  { 0x5a, 0x77, 0xff, 0x05, 0xc5, 0xa9, 0x4a, 0x26, 0x78, 0x78, 0x04, 0xd7, 0x4f, 0x6b, 0x79, 0x89 }

enum { /* role of a tensor */
       BN_T_TOKEN_EMBD = 1,
       BN_T_OUTPUT = 2,
       BN_T_OUTPUT_NORM = 3,
       BN_T_ROPE_FACTORS = 4,
       BN_T_ATTN_NORM = 16,
       BN_T_ATTN_Q = 17,
       BN_T_ATTN_K = 18,
       BN_T_ATTN_V = 19,
       BN_T_ATTN_OUTPUT = 20,
       BN_T_ATTN_SUB_NORM = 21,
       BN_T_POST_ATTN_NORM = 22,
       BN_T_ATTN_Q_NORM = 23,
       BN_T_ATTN_K_NORM = 24,
       BN_T_FFN_NORM = 32,
       BN_T_FFN_GATE = 33,
       BN_T_FFN_UP = 34,
       BN_T_FFN_DOWN = 35,
       BN_T_FFN_SUB_NORM = 36,
       BN_T_POST_FFN_NORM = 37,
       BN_T_ATTN_Q_NORM_IN = 48,
       BN_T_ATTN_K_NORM_IN = 49,
       BN_T_ATTN_V_NORM_IN = 50,
       BN_T_ATTN_OUTPUT_NORM_IN = 51,
       BN_T_FFN_GATE_NORM_IN = 52,
       BN_T_FFN_UP_NORM_IN = 53,
       BN_T_FFN_DOWN_NORM_IN = 54,
       BN_T_ATTN_Q_BIAS = 64,
       BN_T_ATTN_K_BIAS = 65,
       BN_T_ATTN_V_BIAS = 66,
       BN_T_ATTN_OUTPUT_BIAS = 67,
       BN_T_FFN_GATE_BIAS = 68,
       BN_T_FFN_UP_BIAS = 69,
       BN_T_FFN_DOWN_BIAS = 70
};
#define BN_NO_LAYER 0xFFFFFFFFu
#define BN_TENSOR_PERSISTENT 0x1u /* data stays mapped until unload: may be used in place */

typedef struct bn_tensor {
  uint32_t struct_size, role, layer, dtype;
  uint32_t rows, cols;
  uint32_t n_scales, reserved; /* 0, 1 or rows */
  const float* scales;
  const void* data; /* NULL while only support is being asked for */
  uint64_t bytes, flags;
  const bn_format* format; /* BN_DT_TERNARY, else NULL */
} bn_tensor;

#ifdef __cplusplus
}
#endif
#endif
