"""Where the boxes of a drawing stand: a directed graph in layers, without a program outside of Python.

References
----------
.. [1] K. Sugiyama, S. Tagawa, M. Toda, "Methods for Visual Understanding of Hierarchical System Structures", IEEE
   Transactions on Systems, Man and Cybernetics 11 (1981): layers, order by barycentres.
.. [2] R. E. Barlow et al., "Statistical Inference under Order Restrictions" (1972): pooling of adjacent violators,
   which finds the places nearest to those wished for that keep their distances.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

__all__ = ["Layout", "arrange"]

SWEEPS = 12
GAP_ACROSS, GAP_DOWN = 24.0, 34.0
BEND_WIDTH = 8.0
"""Of the place that a line takes where it passes a layer."""


@dataclass
class Layout:
    """Places in a picture whose upper left corner is the origin.

    Attributes
    ----------
    centres : dict
        ``(x, y)`` by node.
    lines : dict
        The points that an edge passes, by pair of nodes.
    width, height : float
    """

    centres: dict
    lines: dict
    width: float
    height: float


def arrange(sizes: dict[Hashable, tuple[float, float]], edges: Sequence[tuple]) -> Layout:
    """Places for nodes, so that edges lead downwards and cross seldom.

    Parameters
    ----------
    sizes : dict
        Width and height by node, in an order in which sources come before what they lead to.
    edges : sequence of tuple
        Pairs of nodes.
    """
    pairs = list(dict.fromkeys((a, b) for a, b in edges if a != b))
    layer = _layers(list(sizes), pairs)
    boxes = dict(sizes)
    links, chains = _with_bends(pairs, layer, boxes)
    rows: list[list] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node in boxes:
        rows[layer[node]].append(node)
    above, below = _neighbours(boxes, links)
    _order(rows, above, below)
    x = _across(rows, boxes, above, below)
    y, height = _down(rows, boxes)
    left = min((x[n] - boxes[n][0] / 2 for n in boxes), default=0.0)
    centres = {n: (x[n] - left, y[layer[n]]) for n in boxes}
    lines = {pair: [centres[n] for n in chain] for pair, chain in chains.items()}
    width = max((centres[n][0] + boxes[n][0] / 2 for n in boxes), default=0.0)
    return Layout({n: centres[n] for n in sizes}, lines, width, height)


def _layers(nodes: list, pairs: list[tuple]) -> dict:
    """Each node one layer below the lowest of its sources; sources themselves as low as what they lead to allows."""
    sources: dict = {n: [] for n in nodes}
    targets: dict = {n: [] for n in nodes}
    for a, b in pairs:
        sources[b].append(a)
        targets[a].append(b)
    layer: dict = {}
    for n in nodes:
        layer[n] = max((layer[a] + 1 for a in sources[n]), default=0)
    for n in reversed(nodes):
        if targets[n] and not sources[n]:
            layer[n] = min(layer[b] for b in targets[n]) - 1
    return layer


def _with_bends(pairs: list[tuple], layer: dict, boxes: dict) -> tuple[list[tuple], dict]:
    """Edges between neighbouring layers: a long one passes a bend, a node without a box, in each layer between."""
    links: list[tuple] = []
    chains: dict = {}
    for a, b in pairs:
        chain = [a]
        for k in range(layer[a] + 1, layer[b]):
            bend = ("bend", a, b, k)
            boxes[bend], layer[bend] = (BEND_WIDTH, 0.0), k
            chain.append(bend)
        chain.append(b)
        chains[a, b] = chain
        links += itertools.pairwise(chain)
    return links, chains


def _neighbours(boxes: dict, links: list[tuple]) -> tuple[dict, dict]:
    above: dict = {n: [] for n in boxes}
    below: dict = {n: [] for n in boxes}
    for a, b in links:
        above[b].append(a)
        below[a].append(b)
    return above, below


def _order(rows: list[list], above: dict, below: dict) -> None:
    """Sort each layer by the mean place of its neighbours, downwards and upwards in turn."""
    place = {n: float(k) for row in rows for k, n in enumerate(row)}
    for sweep in range(SWEEPS):
        neighbours, order = (above, rows[1:]) if sweep % 2 == 0 else (below, rows[-2::-1])
        for row in order:
            keys = {n: _mean([place[m] for m in neighbours[n]], place[n]) for n in row}
            row.sort(key=keys.__getitem__)
            place.update((n, float(k)) for k, n in enumerate(row))


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _across(rows: list[list], boxes: dict, above: dict, below: dict) -> dict:
    """Horizontal places: as near to the mean of the neighbours as distances within a layer allow."""
    x: dict = {}
    for row in rows:
        at = 0.0
        for n in row:
            x[n] = at + boxes[n][0] / 2
            at += boxes[n][0] + GAP_ACROSS
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wished = [_mean([x[m] for m in (*above[n], *below[n])], x[n]) for n in row]
            distances = [(boxes[a][0] + boxes[b][0]) / 2 + GAP_ACROSS for a, b in itertools.pairwise(row)]
            x.update(zip(row, _keeping(wished, distances), strict=True))
    return x


def _keeping(wished: list[float], distances: list[float]) -> list[float]:
    """Places nearest to those wished for (in squares) with at least these distances between neighbours."""
    shifts = [0.0]
    for d in distances:
        shifts.append(shifts[-1] + d)
    blocks: list[tuple[float, int]] = []  # mean and number of places that are pushed together
    for wish, shift in zip(wished, shifts, strict=False):
        mean, count = wish - shift, 1
        while blocks and blocks[-1][0] > mean:
            other, more = blocks.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        blocks.append((mean, count))
    flat = [mean for mean, count in blocks for _ in range(count)]
    return [mean + shift for mean, shift in zip(flat, shifts, strict=False)]


def _down(rows: list[list], boxes: dict) -> tuple[list[float], float]:
    """Vertical centres of the layers, and the height of all."""
    centres, at = [], 0.0
    for row in rows:
        tall = max((boxes[n][1] for n in row), default=0.0)
        centres.append(at + tall / 2)
        at += tall + GAP_DOWN
    return centres, max(at - GAP_DOWN, 0.0)
