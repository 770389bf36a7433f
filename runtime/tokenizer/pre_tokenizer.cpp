// tokenizer/pre_tokenizer.cpp - runs the passes of a rule with PCRE2.
#include "tokenizer/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>

#include "base/error.h"

namespace bitnet {
namespace {

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

template <class T>
T* require_memory(T* pointer) {
  if (pointer == nullptr) fail(ErrorKind::kNoMemory, "no memory for the pre-tokenizer's matching state");
  return pointer;
}

}  // namespace

struct PreTokenizer::Pass {
  std::unique_ptr<pcre2_code, Free> code;
};

struct PreTokenizer::Match {
  Match()
      : data(require_memory(pcre2_match_data_create(1, nullptr))),
        context(require_memory(pcre2_match_context_create(nullptr))) {
    // The patterns need neither nested backtracking nor heap that grows with the text, so limits could only refuse good text.
    pcre2_set_match_limit(context.get(), UINT32_MAX);
    pcre2_set_depth_limit(context.get(), UINT32_MAX);
    pcre2_set_heap_limit(context.get(), UINT32_MAX);
  }
  std::unique_ptr<pcre2_match_data, Free> data;
  std::unique_ptr<pcre2_match_context, Free> context;
};

PreTokenizer::PreTokenizer(const PreTokenizerRule& rule, Jit jit) {
  for (const char* pattern : rule.patterns) {
    if (pattern == nullptr) break;
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                                     &error, &offset, nullptr);
    if (code == nullptr) {
      fail(ErrorKind::kFailure, "pre-tokenizer {}: PCRE2 refuses its pattern at byte {}: {}", rule.names[0], offset,
           pcre2_message(error));
    }
    passes_.push_back({std::unique_ptr<pcre2_code, Free>(code)});
    // Without executable memory this fails, and matching then runs in the interpreter with the same results.
    if (jit == Jit::kIfPossible) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  }
}

PreTokenizer::~PreTokenizer() = default;

bool PreTokenizer::split(std::string_view text, const PieceSink& sink) const {
  Match match;
  return run_pass(0, text, match, sink);
}

bool PreTokenizer::run_pass(size_t pass, std::string_view text, Match& match, const PieceSink& sink) const {
  if (text.empty()) return true;
  if (pass == passes_.size()) return sink(text);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t done = 0;
  while (done < text.size()) {
    const int result = pcre2_match(passes_[pass].code.get(), subject, text.size(), done, PCRE2_NO_UTF_CHECK, match.data.get(),
                                   match.context.get());
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0) {
      fail(ErrorKind::kFailure, "pre-tokenizer: PCRE2 gave up at byte {} of a text of {} bytes: {}", done, text.size(),
           pcre2_message(result));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.data.get());
    const size_t begin = ends[0], end = ends[1];  // copied: the next pass matches with the same memory
    if (!run_pass(pass + 1, text.substr(done, begin - done), match, sink)) return false;
    if (!run_pass(pass + 1, text.substr(begin, end - begin), match, sink)) return false;
    done = end;
  }
  return run_pass(pass + 1, text.substr(done), match, sink);
}

}  // namespace bitnet
