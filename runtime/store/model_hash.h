// store/model_hash.h - SHA-256 of a model file, remembered between runs so that a gigabyte is not read at every start.
//
// Remembered under device, inode, size, times of content and of status change; any write to the file alters one of them.
// Errors  Error as MappedFile.
// Threads any; processes too.
#pragma once

#include <string>

namespace bitnet::store {

// 64 hex digits.
std::string model_sha256(const std::string& path);

}  // namespace bitnet::store
