/* abi/old_plugin.c - a plugin as somebody built it against the headers of 0.1, with the smallest legal tables: the museum
 * piece. It must write the same story on every later host. */
#define STORY_NAME "museum_0_1"
#include "story_kernels.h"

STORY_MANIFEST(0);

/* Ends after matmul: the literal sizes of 1.0. */
static const bn_kernels_v1 table = {.struct_size = 56,
                                    .numerics = BN_EXACT_1,
                                    .row_granule = 1,
                                    .k_align = 1,
                                    .accepts = accepts,
                                    .pack_size = pack_size,
                                    .pack = pack,
                                    .matmul = matmul,
                                    /* beyond struct_size, so no host may look at it or call it */
                                    .dense_dtypes = ~(uint64_t)0,
                                    .dense = (bn_status(BN_CALL*)(bn_device*, const bn_dense*, uint32_t, uint32_t, void*))1};

static const void* BN_CALL get_interface(bn_device* device, const char* id) {
  (void)device;
  return strcmp(id, BN_KERNELS_ID) == 0 ? &table : NULL;
}

static const bn_plugin plugin = {
    72, 0, "org.example." STORY_NAME, "1", "museum", 0, enumerate, open_device, close_device, get_interface};

const bn_plugin* BN_CALL bitnet_plugin_v1(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  return &plugin;
}
