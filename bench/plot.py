#!/usr/bin/env python3
"""bench/plot.py - draws results of "bitnet-run benchmark -o json" as SVG: tokens per second against threads and against depth.

    bitnet-run benchmark -m model.gguf -t 1-4 -d 0-2048+512 -o json > r.json
    bench/plot.py r.json -o r.svg                 # several files make one picture, if they are of one machine and model

One panel for each test and axis that has at least two values. A point is the median, its bar the fastest and slowest repetition,
a dashed line what the ceilings measured beside it allow. Rows that were not measured are not drawn, and said.
"""
import argparse
import json
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 470, 292  # of a panel without its legend
LEFT, RIGHT, TOP, BOTTOM = 72, 26, 34, 48
ENTRY = 17  # height of a line of the legend
COLOURS = ["#1f6feb", "#d1495b", "#2a9d5c", "#8a5cd0", "#c77d0a", "#3d4a5c"]
AXES = {"n_threads": ("threads", "by threads"), "n_depth": ("tokens in the context before the test", "by depth")}


def fail(message):
    print(f"plot: {message}", file=sys.stderr)
    sys.exit(2)


def load(paths):
    documents = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                document = json.load(file)
        except (OSError, ValueError) as error:
            fail(f"{path}: {error}")
        if not isinstance(document, dict) or document.get("kind") != "bitnet-run benchmark results":
            fail(f"{path}: expected what 'bitnet-run benchmark -o json' writes")
        documents.append(document)
    for name in ("machine", "model"):
        if len({document["key"][name] for document in documents}) > 1:
            fail(f"the files are of different {name}s")
    return documents


# Rounded up to 1, 2, 2.5 or 5 times a power of ten.
def nice_step(span, parts):
    raw = span / parts
    power = 10 ** len(str(int(raw))) / 10 if raw >= 1 else 1.0
    while power > raw:
        power /= 10
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)


def number(value):
    return f"{value:.0f}" if value == int(value) else f"{value:g}"


class Svg:
    def __init__(self):
        self.parts = []

    def add(self, text):
        self.parts.append(text)

    def line(self, x1, y1, x2, y2, colour, width=1.0, dash=""):
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
                 f'stroke-width="{width}"{dashed}/>')

    def text(self, x, y, content, size=12, anchor="start", colour="#24292f", weight="normal", turn=None):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn is not None else ""
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
                 f'font-weight="{weight}"{turned}>{escape(content)}</text>')

    def path(self, points, colour, dash=""):
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.add(f'<polyline points="{steps}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>')


# The rows of one test along one axis, by whatever else differs.
class Panel:
    def __init__(self, test, axis, rows):
        self.test, self.axis = test, axis
        self.series = {}
        for row in rows:
            others = [row["backends"]]
            others += [f"{row['n_threads']} thread{'s' if row['n_threads'] > 1 else ''}"] if axis != "n_threads" else []
            others += [f"depth {row['n_depth']}"] if axis != "n_depth" and row["n_depth"] else []
            others += [f"kv {row['type_k']}"] if row["type_k"] != "f32" else []
            others += [f"ub {row['n_ubatch']}"] if row["n_ubatch"] != 512 else []
            self.series.setdefault(", ".join(others), []).append(row)
        for rows_of_one in self.series.values():
            rows_of_one.sort(key=lambda row: row[axis])
        self.xs = sorted({row[axis] for row in rows})
        self.top = 1.08 * max(max(row["max_ts"], row["ceiling_ts"] or 0) for row in rows)

    def draw(self, svg, left, top):
        x0, y0 = left + LEFT, top + HEIGHT - BOTTOM
        wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        reach = self.xs[-1] - self.xs[0]
        low, span = self.xs[0] - 0.06 * reach, 1.12 * reach
        place = lambda x, y: (x0 + (x - low) / span * wide, y0 - y / self.top * high)
        svg.text(x0, top + 20, f"{self.test}, {AXES[self.axis][1]}", 13, weight="bold")
        step = nice_step(self.top, 5)
        for i in range(int(self.top / step) + 1):
            y = place(low, i * step)[1]
            svg.line(x0, y, x0 + wide, y, "#24292f" if i == 0 else "#e4e7eb")
            svg.text(x0 - 8, y + 4, number(i * step), 11, "end", "#57606a")
        ticks = self.xs if len(self.xs) <= 8 else self.xs[::(len(self.xs) + 7) // 8]
        for x in ticks:
            svg.line(place(x, 0)[0], y0, place(x, 0)[0], y0 + 4, "#24292f")
            svg.text(place(x, 0)[0], y0 + 18, number(x), 11, "middle", "#57606a")
        svg.text(x0 + wide / 2, y0 + 38, AXES[self.axis][0], 12, "middle")
        svg.text(left + 22, top + TOP + high / 2, "tokens/s", 12, "middle", turn=-90)
        for i, rows in enumerate(self.series.values()):
            self.draw_series(svg, rows, COLOURS[i % len(COLOURS)], place)
        for i, (name, colour, dash) in enumerate(self.legend()):
            y = top + HEIGHT + ENTRY * i + 4
            svg.line(x0, y, x0 + 24, y, colour, 2, dash)
            svg.text(x0 + 30, y + 4, name, 11)

    def draw_series(self, svg, rows, colour, place):
        ceiling = [place(row[self.axis], row["ceiling_ts"]) for row in rows if row["ceiling_ts"]]
        svg.path(ceiling, colour, "6 4")
        svg.path([place(row[self.axis], row["median_ts"]) for row in rows], colour)
        for row in rows:
            x, y = place(row[self.axis], row["median_ts"])
            svg.line(x, place(0, row["min_ts"])[1], x, place(0, row["max_ts"])[1], colour, 1.5)
            svg.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')

    # (text, colour, dash) of each line.
    def legend(self):
        entries = [(name, COLOURS[i % len(COLOURS)], "") for i, name in enumerate(self.series)]
        bounds = sorted({row["ceiling"] for rows in self.series.values() for row in rows if row["ceiling"]})
        if bounds:
            entries.append((f"dashed: ceiling measured beside it ({', '.join(bounds)})", "#57606a", "6 4"))
        return entries

    def height(self):
        return HEIGHT + ENTRY * len(self.legend()) + 14


def panels_of(rows):
    panels = []
    for axis in AXES:
        tests = {}
        for row in rows:
            tests.setdefault(row["test"].split(" @ ")[0], []).append(row)
        for test, group in tests.items():
            if len({row[axis] for row in group}) >= 2:
                panels.append(Panel(test, axis, group))
    return panels


def picture(documents, panels):
    first = documents[0]
    machine, model, build = first["machine"], first["model"], first["build"]
    columns = 2 if len(panels) > 1 else 1
    lines = [panels[i:i + columns] for i in range(0, len(panels), columns)]
    heights = [max(panel.height() for panel in line) for line in lines]
    width, height = max(columns * WIDTH, 760), 74 + sum(heights) + 8
    svg = Svg()
    svg.text(16, 26, f"{model['name']}: {model['type']}, {model['bytes'] / 1e9:.3g} GB, "
             f"{model['parameters'] / 1e9:.3g} billion parameters", 16, weight="bold")
    svg.text(16, 46, f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}", 12, colour="#57606a")
    svg.text(16, 62, f"bitnet-run {build['version']} ({build['commit']}), {build['compiler']} {build['type']}, {first['time']}; "
             "point: median, bar: fastest and slowest", 12, colour="#57606a")
    for i, line in enumerate(lines):
        for j, panel in enumerate(line):
            panel.draw(svg, j * WIDTH, 74 + sum(heights[:i]))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">\n'
            f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(svg.parts) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", nargs="+", metavar="FILE")
    parser.add_argument("-o", "--output", metavar="SVG", help="instead of standard output")
    chosen = parser.parse_args()
    documents = load(chosen.results)
    rows = []
    for row in (row for document in documents for row in document["rows"]):
        if row["measured"]:
            rows.append(row)
        else:
            print(f"plot: {row['id']}: not measured: {row['reason']}", file=sys.stderr)
    panels = panels_of(rows)
    if not panels:
        fail("nothing to draw: no test has two numbers of threads or two depths")
    text = picture(documents, panels)
    if chosen.output:
        with open(chosen.output, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


main()
