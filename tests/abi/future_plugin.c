/* abi/future_plugin.c - a plugin of a later minor version: every struct is longer, flags are set that nobody knows today,
 * tables go on with functions that do not exist yet. It uses what its host knows (BN_HAS) and must work on today's host.
 *
 * Compiled against headers-future, made by CMakeLists.txt. FUTURE_NEEDS: the smallest minor of a host it accepts. */
#if FUTURE_NEEDS
#  define STORY_NAME "needs_newer"
#else
#  define STORY_NAME "future"
#endif
#include "story_kernels.h"

STORY_MANIFEST(1);

#define FUTURE_NUMBER 0xABABABABABABABABu /* what a host of the future puts into every future field */

/* A field that only a newer host has is written there and nowhere else. */
static bn_status BN_CALL future_enumerate(const bn_host* host, uint32_t index, bn_device_info* info, bn_error* error) {
  if (host != NULL && BN_HAS(host, future_number) && host->future_number != FUTURE_NUMBER) {
    return answer(error, BN_E_INTERNAL, "the host's size says that it has a field which it has not");
  }
  return enumerate(host, index, info, error);
}

static bn_status BN_CALL future_matmul(bn_device* device, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  if (BN_HAS(a, future_number) && a->future_number != FUTURE_NUMBER) return BN_E_INTERNAL;
  if (BN_HAS(a->w, future_number) && a->w->future_number != FUTURE_NUMBER) return BN_E_INTERNAL;
  return matmul(device, a, row0, row1, scratch);
}

static const bn_kernels_v1 table = {.struct_size = sizeof(bn_kernels_v1),
                                    .numerics = BN_EXACT_1,
                                    .row_granule = 1,
                                    .k_align = 1,
                                    .accepts = accepts,
                                    .pack_size = pack_size,
                                    .pack = pack,
                                    .matmul = future_matmul,
                                    .future_number = 1,
                                    .future_pointer = (void*)1};

static const void* BN_CALL get_interface(bn_device* device, const char* id) {
  static const int nothing_known_today = 0;
  (void)device;
  if (strcmp(id, "bn.kernels/2") == 0) return &nothing_known_today;
  return strcmp(id, BN_KERNELS_ID) == 0 ? &table : NULL;
}

static const bn_plugin plugin = {.struct_size = sizeof(bn_plugin),
                                 .abi_minor = BN_ABI_MINOR,
                                 .id = "org.example." STORY_NAME,
                                 .version = "1",
                                 .vendor = "future",
                                 .flags = 0x80000100u, /* below bit 32: may be ignored */
                                 .enumerate = future_enumerate,
                                 .open = open_device,
                                 .close = close_device,
                                 .get_interface = get_interface,
                                 .future_number = 1,
                                 .future_pointer = (void*)1};

const bn_plugin* BN_CALL bitnet_plugin_v1(uint32_t host_abi_minor) {
  return host_abi_minor + 1 > FUTURE_NEEDS ? &plugin : NULL;
}
