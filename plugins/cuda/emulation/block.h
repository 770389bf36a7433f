// emulation/block.h - starts a kernel on the host, block after block, each thread a fiber.
#pragma once

#include <stdexcept>

#include "../device/simt.h"

namespace bn_cuda::emulation {

// Runs all blocks of the kernel to their end. args: kernel.args_bytes bytes. Shared memory begins as 0xFF bytes, so that a
// kernel cannot rely on zeros. Every other block, and the other half at the next launch, runs its threads backwards, so that a
// missing barrier shows. One launch at a time per calling thread.
// Throws std::logic_error: threads wait for each other for ever, or the shape is not possible.
void launch(const Kernel& kernel, const Shape& shape, const void* args);

}  // namespace bn_cuda::emulation
