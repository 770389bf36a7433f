// tokenizer/spelling.h - how vocabularies write the bytes of their tokens.
#pragma once

#include <string>
#include <string_view>

namespace bitnet {

// GPT-2's byte-level spelling: printable bytes of Latin-1 are the characters of the same code point, the other 68, in
// ascending order, are U+0100 and up. Appends the bytes that spelled stands for; false, with nothing appended, when a
// character of it stands for none.
bool append_byte_level_spelling(std::string_view spelled, std::string& out);

// SentencePiece's spelling: U+2581 stands for a space.
void append_sentencepiece_spelling(std::string_view spelled, std::string& out);

// The byte of a SentencePiece byte token <0x00> to <0xFF>, -1 for any other text.
int byte_of_sentencepiece_name(std::string_view name);

}  // namespace bitnet
