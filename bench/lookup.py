#!/usr/bin/env python3
"""bench/lookup.py - what guessing ahead (--lookup) is worth: the same text with and without it, by turns.

    build/bin/bitnet-make-model --memoryless -o circle.gguf
    bench/lookup.py circle.gguf -- -t 2 --backend cpu_avx512      # all cases; behind --: options of bitnet-run for both sides

The model's own greedy text, -n tokens behind a start token, is the material. With a memoryless model (see bitnet-make-model)
a prompt that holds this text makes the model write it again:

    copy     the prompt is the whole text, the model repeats it
    edit     the same, but in the prompt every 16th token is another one: the model goes with the prompt for 15 tokens, then not
    free     the prompt is the start token alone: nothing was said before

Pairs run A B, B A, ...; each pair gives a ratio of decode times. Different tokens or logits end it with exit code 1.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LOOKUP = ["--lookup"]


def fail(message, code=2):
    print(f"lookup: {message}", file=sys.stderr)
    sys.exit(code)


def options():
    words = sys.argv[1:]
    common = []
    if "--" in words:
        common = words[words.index("--") + 1:]
        words = words[:words.index("--")]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], usage="%(prog)s MODEL [option ...] [-- OPTION ...]")
    parser.add_argument("model")
    parser.add_argument("--program", default=os.path.join(HERE, "..", "build", "bin", "bitnet-run"), metavar="FILE")
    parser.add_argument("--case", action="append", choices=["copy", "edit", "free"], help="all of them if none is named")
    parser.add_argument("--start", type=int, default=1000, metavar="ID", help="the first token [1000]")
    parser.add_argument("-n", type=int, default=192, metavar="N", help="tokens of the text [192]")
    parser.add_argument("--pairs", type=int, default=5, metavar="N", help="[5]")
    parser.add_argument("--guesses", type=int, metavar="N", help="always so many, to see what a batch costs")
    chosen = parser.parse_args(words)
    if chosen.pairs < 1 or chosen.n < 32:
        fail(f"--pairs {chosen.pairs}, -n {chosen.n}: expected at least 1 and 32")
    return chosen, common


def run(chosen, common, ids, more):
    command = [chosen.program, "-m", chosen.model, "--prompt-ids", ",".join(map(str, ids)), "-n", str(chosen.n), "--greedy",
               "--json", *common, *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        fail(f"bitnet-run ended with code {done.returncode}", done.returncode)
    return json.loads(done.stdout)


def prompt_of(case, text, start):
    if case == "free":
        return [start]
    if case == "edit":
        text = [token + 1 if i % 16 == 15 else token for i, token in enumerate(text)]
    return [start, *text, start]


def speed(result):
    return (len(result["tokens"]) - 1) / result["timing"]["decode"]


def compare(chosen, common, case, ids):
    guess = list(LOOKUP)
    if chosen.guesses:
        guess += ["--draft-min", str(chosen.guesses), "--draft-max", str(chosen.guesses)]
    plain, guessed = [], []
    for pair in range(chosen.pairs):
        for side in (0, 1) if pair % 2 == 0 else (1, 0):
            (guessed if side else plain).append(run(chosen, common, ids, guess if side else []))
    for result in plain + guessed:
        if result["tokens"] != plain[0]["tokens"] or result["logits_hash"] != plain[0]["logits_hash"]:
            fail(f"{case}: the text or its logits differ", 1)
    ratios = [speed(b) / speed(a) for a, b in zip(plain, guessed)]
    report = guessed[-1]["speculation"]
    print(f"{case:5} plain {statistics.median(map(speed, plain)):6.1f}, lookup {statistics.median(map(speed, guessed)):6.1f} "
          f"tokens/s: {statistics.median(ratios):.2f} times [{min(ratios):.2f} .. {max(ratios):.2f}], {chosen.pairs} pairs; "
          f"{report['steps']} steps, {report['batches']} with guesses, {report['accepted']} of {report['drafted']} right; "
          f"logits {plain[0]['logits_hash'][:12]}", flush=True)


def main():
    chosen, common = options()
    text = run(chosen, common, [chosen.start], [])["tokens"]
    for case in chosen.case or ["copy", "edit", "free"]:
        compare(chosen, common, case, prompt_of(case, text, chosen.start))


main()
