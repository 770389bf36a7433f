// backend/trust.h - whose files may run in this process: the rule about owners and permissions of every part of a path.
//
// Whoever can change a folder can replace what lies in it, so each folder on the way counts, and each link's target too.
// Errors   Error{kNoBackend}: one line that names the part, its owner or mode, and what to do.
// Threads  pure.
// Source   plugins.md, section 11.
#pragma once

#include <string>

namespace bitnet::backend {

// The file behind a path, symbolic links resolved. Throws unless it is an existing regular file.
std::string resolve_plugin_file(const std::string& path);

// Throws unless the file, every link and every folder on the way belong to root or the user and nobody else can change them. A
// group's write permission counts as the user's own when it is the user's private group (gid equal to uid); a folder with the
// sticky bit may be open to all.
// path     absolute.
// beneath  an absolute folder whose own path needs no check, because this program lies in it; empty: none.
void check_trusted(const std::string& path, const std::string& beneath = {});

}  // namespace bitnet::backend
