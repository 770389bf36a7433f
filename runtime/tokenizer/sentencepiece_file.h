// tokenizer/sentencepiece_file.h - reads tokenizer.model, the file of SentencePiece.
//
// Source  sentencepiece_model.proto: ModelProto {pieces = 1, trainer_spec = 2, normalizer_spec = 3}, in Protocol Buffers' wire
//         format. The few fields that matter are read here; the library has known faults on crafted files.
// Models  BPE. Unigram, word and character models are refused, and normalizers that change a text.
// Errors  Error{kInvalidModel} beginning with the label, with the offset of the fault.
// Threads pure.
#pragma once

#include <string>
#include <string_view>

#include "tokenizer/vocabulary.h"

namespace bitnet {

inline constexpr size_t kMaxSentencePieceBytes = size_t{64} << 20;

// The views refer to bytes.
TokenizerData read_sentencepiece_file(std::string_view bytes, const std::string& label);

}  // namespace bitnet
