// base/replace_file.h - writes a small file so that a reader sees the old content or the new one, never half of it.
//
// Threads  any; processes too: the last one to finish wins.
#pragma once

#include <sys/types.h>

#include <string>

namespace bitnet {

// Writes to a temporary name beside it, syncs, renames. False when that failed: errno says why, the old file is as it was, and
// nothing is left behind.
bool replace_file(const std::string& path, const std::string& text, mode_t mode);

}  // namespace bitnet
