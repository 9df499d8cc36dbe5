"""Every kernel at every dtype becomes PTX and machine code for each architecture; elementwise ones spill nothing."""

from __future__ import annotations

import ast
import os
import pathlib
import re

import numpy as np
import pytest

from tapegrad.cuda import reductions, table, toolchain
from tapegrad.cuda.assembling import assembled, joined
from tapegrad.cuda.compiling import parse
from tapegrad.cuda.inventory import Entry, inventory
from tapegrad.cuda.lowering import lowered
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
def test_what_is_not_done_again(index, compiled, shared, architectures):
    """PTX of which others did a part is what this toolkit makes of the kernel for each architecture alone."""
    entry, targets = ENTRIES[index], parse(architectures)
    taken = toolchain.forms(lowered(entry, shared, index), targets)
    own = toolchain.forms(toolchain.lowered(entry.function, entry.types, targets[-1]), targets, each=True)
    for cc in targets:
        assert in_order(taken[cc]) == in_order(own[cc])


def in_order(ptx):
    """PTX with its names, and its registers, of which the optimiser may leave out some, in the order of their use."""
    names: dict = {}
    counted = re.sub(r"(\.reg .*%[a-z]+)<\d+>", r"\1", joined([ptx]))
    return re.sub(r"(%[a-z]+)\d+\b", lambda found: names.setdefault(found[0], f"{found[1]}{len(names)}"), counted)


def test_nothing_is_left_out(compiled):
    assert len(compiled) == len(ENTRIES) > 500
    own = {n for n, r in RECORDS.items() if table.entry(r)[0] in ("fused", "kernel")}
    assert own <= set().union(*[e.users for e in ENTRIES]), own


def test_every_function_that_is_a_kernel_is_compiled():
    """Functions of the package that ask which thread they are."""
    found = set()
    for path in pathlib.Path(reductions.__file__).parent.glob("*.py"):
        for part in ast.parse(path.read_text(encoding="utf-8")).body:
            asked = {node.attr for node in ast.walk(part) if isinstance(node, ast.Attribute)}
            if isinstance(part, ast.FunctionDef) and asked & {"grid", "threadIdx"}:
                found.add(part.name)
    assert len(found) > 30 and found <= {e.function.__name__ for e in ENTRIES}


def test_long_reductions_are_compiled(compiled):
    """Those of short axes have kernels without shared memory, in which a thread takes a result."""
    table.load()
    names = [n for n, launcher in table.LAUNCHERS.items() if launcher.__module__ == reductions.__name__]
    lines = [line for line in compiled.values() if all(sizes["shared"] for sizes in line["found"].values())]
    assert len(names) > 5 and {f"{n}: reduction" for n in names} <= {line["name"] for line in lines}


def test_the_page_lists_every_kernel():
    """docs/reference/cuda-kernels.md is of these kernels; scripts/cuda_kernels.py writes it from reports."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "reference" / "cuda-kernels.md").read_text(encoding="utf-8")
    missing = [e.name for e in ENTRIES if f"| {e.name} | {e.dtype} |" not in page]
    assert not missing


def test_a_fault_is_found(architectures, tmp_path):
    """A kernel that the compiler cannot type is an error, not a gap, and its neighbours are compiled."""
    scope = {"cuda": toolchain.cuda, "__name__": "tapegrad.cuda.x"}
    faulty = defined("faulty", "def faulty(n, x):\n    x[cuda.grid(1)] = unheard_of(n)\n", scope)
    sound = defined("sound", "def sound(n, x):\n    x[cuda.grid(1)] = n\n", scope)
    types = np.dtype("l"), ("array", np.dtype("d"))
    entries = [Entry(f.__name__, f, types, True, "d", set()) for f in (sound, faulty, sound)]
    for again in range(2):  # the second time from the files of the first
        kernels = [lowered(e, str(tmp_path), k) for k, e in enumerate(entries)]
        first, error, last = assembled(kernels, parse(architectures)[:1])
        assert "unheard_of" in str(error), again
        assert first == last and next(iter(first.values()))["registers"] > 0
    with pytest.raises(RuntimeError, match=r"compile different kernels: number 0 is .*sound.* and .*faulty"):
        lowered(entries[1], str(tmp_path), 0)


def test_only_the_kernel_for_a_grid_is_launched_cooperatively(compiled):
    """The compiler drops the barrier that a kernel of one block does not take."""
    for line in compiled.values():
        whole = line["name"].endswith("by a whole grid")
        assert all([sizes["barrier"] == whole for sizes in line["found"].values()])
    assert sum(line["name"].endswith("by a whole grid") for line in compiled.values()) == 2
