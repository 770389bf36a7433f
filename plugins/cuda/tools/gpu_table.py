#!/usr/bin/env python3
# gpu_table.py FOLDER - what was predicted for the 2B-4T shape and what gpu_check measured, as a table in Markdown.
"""Predictions: microseconds per token on an H200 by stage (README of this plugin); for other cards the difference of the
bandwidth floors is added. A prediction that is missed by more than a fifth asks for its falsifier."""
import json
import pathlib
import sys

# Usable read bandwidth, GB/s, where it was published; else what micro measured counts.
H200_GBS = 4300.0
BODY = 521.0e6 + 1.76e6          # bytes of the layers per token
HEAD = {"f16": 656.7e6, "int8": 328.8e6}
KV_POSITION = 153.6e3            # f32 keys and values of one position
STAGES = {                       # microseconds on an H200 at context 128, the head it reads, what would falsify it
    "s0": (1180, "f16", "a wait of the host per operation"),
    "s1": (860, "f16", "node after node costs more than 1.5 us"),
    "s2": (600, "f16", "a matrix alone reads below 80 % of bandwidth"),
    "s3": (525, "int8", "more than 500 candidates"),
    "s3 early": (370, "int8", "more than 1.1 us from node to node"),
    "s3 early fast": (320, "int8", "attention above 7.2 us a layer at 4096 positions"),
}
MICRO = {                        # what the design expects of an H200, and what else would follow
    "memory read": (4300, "the floor of every stage"),
    "memory read by bulk copies, pieces of 27648": (4300, "a persistent kernel's ring"),
    "first bytes from memory": (700, "the tail of every kernel"),
    "stream launch, kernel after kernel": (2.1, "s0"),
    "node after node in a graph": (1.3, "s1 and s2"),
    "node after node in a graph, early starts": (0.95, "s3 with early starts"),
    "graph launch on the host": (2.7, "how far ahead the host must be"),
    "grid meets": (1.1, "a persistent kernel by barriers"),
    "all to all, 1 values in packets of 16 bytes": (0.6, "a persistent kernel: below 1.3 it is worth making"),
    "all to all, 2560 values in packets of 16 bytes": (0.95, "the same, with the values"),
    "all to all, 6912 values in packets of 16 bytes": (1.6, "the widest exchange"),
    "dp4a": (60, "path dot4: 17 are enough"),
    "int8 mma": (660, "path bytes, prompts without wgmma"),
    "cuBLASLt int8, 13824 x 2560, 2048 tokens": (1300, "what a prompt could reach"),
}
PROMPT_US = {128: 1500, 512: 5100, 2048: 22000}


def lines(path):
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                pass


def floor_us(gbs, head, context):
    return (BODY + HEAD[head] + context * KV_POSITION) / gbs * 1e-3


def main(folder):
    folder = pathlib.Path(folder)
    micro = {m["micro"]: m for m in lines(folder / "micro.jsonl") if "micro" in m}
    card = next((m["gpu"] for m in lines(folder / "micro.jsonl") if "gpu" in m), "unknown GPU")
    gbs = micro.get("memory read", {}).get("value", H200_GBS)
    print(f"# {card}\n\n| number | predicted for an H200 | measured | matters for |\n|---|---|---|---|")
    for name in {**micro, **MICRO}:
        m = micro.get(name, {"not_measured": "no such line"})
        predicted, why = MICRO.get(name, ("", ""))
        measured = f"{m['value']:.4g} {m['unit']}" if "value" in m else f"not measured: {m['not_measured']}"
        print(f"| {name} | {predicted} | {measured} | {why} |")

    print("\n| what | predicted us | measured us | tokens/s | share of the floor | falsified by |\n|---|---|---|---|---|---|")
    options = {}
    for row in lines(folder / "speed.jsonl"):
        if "options" in row:
            options = row["options"]
            continue
        if not row.get("measured"):
            print(f"| {row.get('id', '?')} {json.dumps(options)} | | not measured: {row.get('reason', '')} | | | |")
            continue
        us = 1e6 / row["median_ts"]
        depth, is_prompt = row["n_depth"], row["n_prompt"] > 0
        name = f"pp{row['n_prompt']}" if is_prompt else f"tg{row['n_gen']}"
        if depth:
            name += f" @ d{depth}"
        if options:
            name += " " + json.dumps(options)
        stage = options.get("stage", "s3") + (" early" if options.get("stage", "s3") == "s3" and options.get("early_launch", True) else "")
        stage += " fast" if options.get("numerics") == "fast" else ""
        if is_prompt:
            predicted = PROMPT_US.get(row["n_prompt"])
            share, why = "", "the tensor cores below 600 T/s"
            us *= row["n_prompt"]
        else:
            on_h200, head, why = STAGES[stage]
            context = depth + row["n_gen"] / 2
            predicted = on_h200 + floor_us(gbs, head, context) - floor_us(H200_GBS, head, 128)
            share = f"{100 * floor_us(gbs, head, context) / us:.0f} %"
        text = f"{predicted:.0f}" if predicted else ""
        print(f"| {name} | {text} | {us:.0f} | {row['median_ts']:.0f} | {share} | {why} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: gpu_table.py FOLDER")
    main(sys.argv[1])
