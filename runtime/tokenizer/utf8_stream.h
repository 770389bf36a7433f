// tokenizer/utf8_stream.h - turns the bytes of successive tokens into text that never ends inside a UTF-8 sequence.
//
// The concatenation of everything push() and flush() return equals everything pushed. Bytes that can no longer become
// valid UTF-8 pass through as they are, as soon as that is certain. At most 3 bytes are held back.
// Threads one stream belongs to one thread at a time.
#pragma once

#include <string>
#include <string_view>

namespace bitnet {

class Utf8Stream {
 public:
  // Takes the bytes of one or more tokens; returns what can be shown now.
  std::string push(std::string_view bytes);

  // The text ends here: returns the unfinished rest, invalid as it is. The stream is empty afterwards.
  std::string flush();

 private:
  std::string held_;
};

}  // namespace bitnet
