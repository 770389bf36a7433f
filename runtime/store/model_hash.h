// store/model_hash.h - SHA-256 of a model file, remembered between runs so that a gigabyte is not read at every start.
//
// A folder, a .safetensors file, or an index of shards, stands for its checkpoint: the hash is of lines "HASH  NAME" of
// config.json and the .safetensors files in the folder, by name.
// Remembered under device, inode, size, times of content and of status change; any write to the file alters one of them.
// Errors  Error as MappedFile.
// Threads any; processes too.
#pragma once

#include <functional>
#include <string>

namespace bitnet::store {

// 64 hex digits. on_progress: called now and then while a file is read, may be empty. What was read does not stay resident.
std::string model_sha256(const std::string& path, const std::function<void()>& on_progress = {});

}  // namespace bitnet::store
