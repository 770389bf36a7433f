#!/usr/bin/env python3
"""bench/compare.py - two builds or two backends of bitnet-run, run by turns, and the verdict of analyze-performance.

    bench/compare.py --a old/bin/bitnet-run --b build/bin/bitnet-run -- -m model.gguf -p 64 -n 32
    bench/compare.py --b-args '--backend cpu_portable' -- -m model.gguf -p 64 -n 0      # A: --backend as in the common part

Runs A B B A A B ..., each a process of its own with its own warm-up, so that a disturbance of the machine meets both sides. The
i-th samples of both sides are a pair. A is the baseline: the verdict is about B. Exit code: that of analyze-performance (0, 6),
that of a run that failed, or 2.
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile


def fail(message, code=2):
    print(f"compare: {message}", file=sys.stderr)
    sys.exit(code)


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], usage="%(prog)s [option ...] -- BENCHMARK-OPTION ...")
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "bin", "bitnet-run")
    parser.add_argument("--a", default=default, metavar="PROGRAM", help="bitnet-run of side A, the baseline")
    parser.add_argument("--b", default=default, metavar="PROGRAM", help="bitnet-run of side B; judges, too")
    parser.add_argument("--a-args", default="", metavar="TEXT", help="benchmark options of side A only")
    parser.add_argument("--b-args", default="", metavar="TEXT", help="benchmark options of side B only")
    parser.add_argument("--pairs", type=int, default=6, metavar="N", help="at least 6 [6]")
    parser.add_argument("--threshold", default="0.05", metavar="X", help="as of analyze-performance [0.05]")
    parser.add_argument("--keep", metavar="DIR", help="write a.json and b.json there")
    words = sys.argv[1:]
    common = []
    if "--" in words:
        common = words[words.index("--") + 1:]
        words = words[:words.index("--")]
    chosen = parser.parse_args(words)
    if chosen.pairs < 6:
        fail(f"--pairs {chosen.pairs}: expected at least 6")
    for program in (chosen.a, chosen.b):
        if not os.access(program, os.X_OK):
            fail(f"{program}: is no program")
    return chosen, common


def run_once(program, arguments):
    command = [program, "benchmark", *arguments, "-r", "1", "-o", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        fail(f"{shlex.join(command)} ended with code {done.returncode}", done.returncode)
    return json.loads(done.stdout)


# The samples of `more` behind those of `all`, row by row.
def append(all_, more):
    if all_ is None:
        return more
    if [row["id"] for row in all_["rows"]] != [row["id"] for row in more["rows"]]:
        fail("two runs of the same side have different rows")
    for row, new in zip(all_["rows"], more["rows"]):
        if row["logits_hash"] != new["logits_hash"]:
            fail(f"{row['id']}: two runs of the same side gave different logits", 1)
        for name, value in new.items():
            if name.startswith("samples_"):
                row[name] += value
    return all_


# What differs on purpose between the sides is not to count: build, and the names of the backends.
def align(a, b):
    if a["key"]["machine"] != b["key"]["machine"] or a["key"]["model"] != b["key"]["model"]:
        fail("the sides ran on different machines or models")
    if len(a["rows"]) != len(b["rows"]):
        fail(f"A has {len(a['rows'])} rows, B {len(b['rows'])}")
    b["key"] = a["key"]
    for row, other in zip(a["rows"], b["rows"]):
        if row["test"] != other["test"]:
            fail(f"A measured {row['test']} where B measured {other['test']}")
        if row["id"] != other["id"]:
            row["id"] = other["id"] = f"{row['id']} against {other['id']}"


def main():
    chosen, common = options()
    sides = {"a": (chosen.a, [*common, *shlex.split(chosen.a_args)]), "b": (chosen.b, [*common, *shlex.split(chosen.b_args)])}
    found = {"a": None, "b": None}
    for pair in range(chosen.pairs):
        for side in "ab" if pair % 2 == 0 else "ba":
            print(f"compare: pair {pair + 1} of {chosen.pairs}, {side.upper()}", file=sys.stderr)
            found[side] = append(found[side], run_once(*sides[side]))
    align(found["a"], found["b"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or scratch
        os.makedirs(folder, exist_ok=True)
        paths = {side: os.path.join(folder, f"{side}.json") for side in "ab"}
        for side, path in paths.items():
            with open(path, "w", encoding="utf-8") as file:
                json.dump(found[side], file)
        judge = [chosen.b, "analyze-performance", "--baseline", paths["a"], "--results", paths["b"], "--threshold",
                 chosen.threshold]
        sys.exit(subprocess.run(judge, check=False).returncode)


main()
