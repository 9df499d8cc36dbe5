"""A plot of the ratios, written as SVG: a line a problem, a mark a size, time over that of compiled tapegrad."""

from __future__ import annotations

import math
from html import escape

WIDTH, LEFT, RIGHT, LINE, TOP = 760, 150, 20, 22, 64
LOWEST, HIGHEST = 0.05, 100.0
MARKS = {"JAX": ("#c2410c", "JAX"), "torch.compile": ("#7c3aed", "torch.compile"), "by hand": ("#15803d", "by hand")}
RADII = {"tiny": 3, "small": 4, "medium": 5, "large": 6}


def across(ratio):
    share = math.log(min(max(ratio, LOWEST), HIGHEST) / LOWEST) / math.log(HIGHEST / LOWEST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def text(x, y, words, anchor="start", colour="#444"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def plot(run):
    problems = list(
        dict.fromkeys(name.split(", ")[0] if name[0] != "3" else name.rsplit(", ", 1)[0] for name in run["cases"])
    )
    height = TOP + LINE * len(problems) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        text(
            10,
            20,
            "Time of value and gradient, divided by compiled tapegrad's (right of 1: slower than tapegrad)",
        ),
    ]
    at = LEFT
    for colour, label in MARKS.values():
        parts += [f'<circle cx="{at}" cy="38" r="5" fill="{colour}"/>', text(at + 10, 42, label)]
        at += 110
    parts.append(text(at, 42, "small to large marks: tiny to large inputs"))
    for ratio in (0.1, 1, 10, 100):
        x = across(ratio)
        colour = "#222" if ratio == 1 else "#ddd"
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 10}" y2="{height - 26}" stroke="{colour}"/>')
        parts.append(text(x, height - 10, f"{ratio:g}×", "middle"))
    for k, problem in enumerate(problems):
        y = TOP + LINE * k + LINE / 2
        parts.append(text(LEFT - 10, y + 4, problem, "end"))
        for size, radius in RADII.items():
            case = run["cases"].get(f"{problem}, {size}", {})
            for name, (colour, _) in MARKS.items():
                if name in case:
                    x = across(case[name]["ratio"])
                    parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="{radius}" fill="{colour}" fill-opacity="0.6"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"
