#!/bin/sh
# example_ci.sh [bitnet-run] - what a project that calls bitnet-run can ask in its own CI, in seconds and without a GPU: does our
# program get its answer when the backend fails? Replace ask() by your own program.
set -eu
run=${1:-bitnet-run}

ask() { "$run" run -p "Once upon a time" -n 16 --seed 7 -t 1 --json "$@" 2>/dev/null; }
tokens() { sed 's/.*"tokens":\(\[[^]]*\]\).*/\1/'; }
expect() { # what, expected, found
  if [ "$2" != "$3" ]; then
    echo "FAILED: $1: expected $2, found $3" >&2
    exit 1
  fi
  echo "ok: $1"
}

undisturbed=$(ask --backend cpu | tokens)

# The device vanishes in the middle of an answer, runs out of memory, throws: another backend finishes the same answer.
for fault in 'token@7=lost' 'prefill=oom' 'token@3=throw'; do
  for tier in kernels engine; do
    answer=$(ask --backend mock,cpu --mock-mode faithful --mock-tier "$tier" --mock-faults "$fault" | tokens)
    expect "$fault in tier $tier" "$undisturbed" "$answer"
  done
done

# Faults at random, repeatable by their seed.
for seed in 1 2 3 4 5; do
  answer=$(ask --backend mock,cpu --mock-mode faithful --mock-faults "token@~0.2/$seed=lost" | tokens)
  expect "random faults, seed $seed" "$undisturbed" "$answer"
done

# Without fallback the failure has an exit code of its own.
code=0
ask --backend mock,cpu --no-fallback --mock-mode faithful --mock-faults 'token@7=lost' >/dev/null || code=$?
expect "exit code of a lost device" 4 "$code"

# A backend of 20 tokens per second: the time limit holds, and what was said until then arrives.
reason=$(ask --backend mock --mock-faults 'token=slow:50' -n 400 --time-limit 0.5 | sed 's/.*"finish_reason":"\([a-z]*\)".*/\1/')
expect "end of a slow answer" time "$reason"
