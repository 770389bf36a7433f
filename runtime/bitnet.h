// bitnet.h - the embedding API: open a model, find backends, generate text. Programs use this and nothing deeper.
//
//   bitnet::model::Model model("model.gguf");
//   auto tokenizer = bitnet::Tokenizer::from_gguf(model.file);
//   auto registry = bitnet::backend::Registry::discover({.program_path = "/usr/bin/bitnet-run"});
//   auto order = bitnet::backend::order_candidates(registry.facts(), {});
//   bitnet::engine::Session session(model, registry, order, {.engine = {.n_ctx = 512}, .threads = 2});
//   bitnet::engine::GenerateResult result;
//   bitnet::engine::generate(session, tokenizer, tokenizer.encode("Once upon a time"), {.n_predict = 64}, result);
//
// Errors  exceptions of type bitnet::Error; each header says which kinds.
#pragma once

#include "backend/explain.h"          // what "backends explain" prints
#include "backend/listing.h"          // what "backends list" prints
#include "backend/policy.h"           // the first choice, and what follows a failure
#include "backend/priority.h"         // the order in which backends are tried
#include "backend/registry.h"         // plugins found on this machine
#include "backend/scores.h"           // measured speeds that order the CPU backends
#include "base/error.h"               // Error, printable()
#include "base/log.h"                 // lines on stderr
#include "chat/choose_template.h"     // the chat template of a model
#include "engine/batch.h"             // several texts at once
#include "engine/engine_thread.h"     // whether a backend hangs for ever
#include "engine/generate.h"          // prompt in, text out
#include "engine/session.h"           // a sequence on a backend, with fallback
#include "model/model.h"              // a model file, opened and checked
#include "tokenizer/compatibility.h"  // does a tokenizer fit its model?
#include "tokenizer/tokenizer.h"      // text to ids and back
