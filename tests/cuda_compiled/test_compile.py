"""Every kernel at every dtype becomes PTX and machine code for each architecture; elementwise ones spill nothing."""

from __future__ import annotations

import os
import pathlib
import re

import numpy as np
import pytest

from tapegrad.cuda import toolchain
from tapegrad.cuda.assembling import assembled
from tapegrad.cuda.compiling import parse
from tapegrad.cuda.inventory import inventory
from tapegrad.cuda.stepper import defined
from tapegrad.primitives.core import RECORDS

ENTRIES = inventory() if os.environ.get("TAPEGRAD_CUDA_ARCHITECTURES") else []


@pytest.mark.parametrize("index", range(len(ENTRIES)), ids=[f"{e.name}-{e.dtype}" for e in ENTRIES])
def test_kernel(index, compiled, architectures):
    entry, line = ENTRIES[index], compiled[index]
    assert (line["name"], line["dtype"]) == (entry.name, entry.dtype)
    assert "error" not in line, line["error"]
    assert set(line["found"]) == set(architectures.split(","))
    for architecture, sizes in line["found"].items():
        assert sizes["ptx"] > 100 and sizes["sass"] > 100 and 0 < sizes["registers"] <= 255
        if entry.fused:
            assert sizes["spills"] == 0, f"sm_{architecture}: {sizes['spills']} bytes are spilled"
        assert sizes["shared"] <= 48 * 1024


@pytest.mark.parametrize("index", range(3, len(ENTRIES), 40), ids=lambda k: f"{ENTRIES[k].name}-{ENTRIES[k].dtype}")
def test_what_is_not_optimised_again(index, architectures):
    """PTX that stands for several architectures is what the optimiser makes for each of them."""
    entry = ENTRIES[index]
    if len({toolchain.optimiser(cc) for cc in parse(architectures)}) == len(parse(architectures)):
        pytest.skip("the optimiser ran for each of these architectures anyway")
    texts = toolchain.forms(entry.function, entry.types, parse(architectures), each=True)
    for cc, text in texts.items():
        same = [other for other in texts if toolchain.optimiser(other) == toolchain.optimiser(cc)]
        assert in_order(toolchain.retargeted(texts[same[0]], cc)) == in_order(text)


def in_order(ptx):
    """PTX with its virtual registers, of which the optimiser may leave out some, named in the order of their use."""
    names: dict = {}
    counted = re.sub(r"(\.reg .*%[a-z]+)<\d+>", r"\1", ptx)
    return re.sub(r"(%[a-z]+)\d+\b", lambda found: names.setdefault(found[0], f"{found[1]}{len(names)}"), counted)


def test_nothing_is_left_out(compiled):
    assert len(compiled) == len(ENTRIES) > 500
    from tapegrad.cuda import table

    own = {n for n, r in RECORDS.items() if table.entry(r)[0] in ("fused", "kernel")}
    assert own <= set().union(*[e.users for e in ENTRIES]), own


def test_the_page_lists_every_kernel():
    """docs/reference/cuda-kernels.md is of these kernels; scripts/cuda_kernels.py writes it from reports."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "reference" / "cuda-kernels.md").read_text(encoding="utf-8")
    missing = [e.name for e in ENTRIES if f"| {e.name} | {e.dtype} |" not in page]
    assert not missing


def test_a_fault_is_found(architectures):
    """A kernel that the compiler cannot type is an error, not a gap, and its neighbours are compiled."""
    scope = {"cuda": toolchain.cuda, "__name__": "tapegrad.cuda.x"}
    faulty = defined("faulty", "def faulty(n, x):\n    x[cuda.grid(1)] = unheard_of(n)\n", scope)
    sound = defined("sound", "def sound(n, x):\n    x[cuda.grid(1)] = n\n", scope)
    types = np.dtype("l"), ("array", np.dtype("d"))
    first, error, last = assembled([(sound, types), (faulty, types), (sound, types)], parse(architectures)[:1])
    assert "unheard_of" in str(error)
    assert first == last and next(iter(first.values()))["registers"] > 0


def test_only_the_kernel_for_a_grid_is_launched_cooperatively(compiled):
    """The compiler drops the barrier that a kernel of one block does not take."""
    for line in compiled.values():
        whole = line["name"].endswith("by a whole grid")
        assert all([sizes["barrier"] == whole for sizes in line["found"].values()])
    assert sum(line["name"].endswith("by a whole grid") for line in compiled.values()) == 2
