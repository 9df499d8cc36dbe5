"""Write docs/reference/cuda-kernels.md: how each record runs on a GPU, and what the compiler made of each kernel.

The sizes come from reports of the compile suite (``TAPEGRAD_CUDA_REPORT=FILE`` with ``pytest tests/cuda_compiled``);
without a report, they stay as they are.
"""

from __future__ import annotations

import argparse
import json
import pathlib

from tapegrad.cuda import table
from tapegrad.primitives import scipy_loader
from tapegrad.primitives.core import RECORDS

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "reference" / "cuda-kernels.md"
KERNELS = "## What the compiler made"
HEAD = """# Records and kernels on a GPU

Made by `python scripts/cuda_kernels.py REPORT ...` from reports of the compile suite. Nothing here has run on hardware.

## How each record runs

"""
STATES = {
    "fused": "Fused: a scalar function, in one launch with its neighbours",
    "kernel": "Kernel: launches of its own",
    "composed": "Composed: of other records, as its definition says",
    "view": "View: no work",
    "fallback": "Fallback: by the host, on copies, after one warning",
    "refused": "Refused",
}


def records() -> str:
    """The dispatch table."""
    scipy_loader.load()
    states: dict = {}
    for name, record in sorted(RECORDS.items()):
        states.setdefault(table.entry(record)[0], []).append(name)
    text = ""
    for state, title in STATES.items():
        names = states.get(state, [])
        text += f"**{title}** ({len(names)}): "
        reasons: dict = {}
        for n in names:
            reasons.setdefault(table.entry(RECORDS[n])[1], []).append(f"`{n}`")
        text += "; ".join(", ".join(of) + (f" ({reason})" if reason else "") for reason, of in reasons.items())
        text += ".\n\n"
    return text


def kernels(reports: list[pathlib.Path]) -> str:
    """Registers of each kernel by architecture; spills and shared memory, where there are any."""
    rows: dict = {}
    for report in reports:
        met: dict = {}
        for text in report.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            name = line["name"], line["dtype"]
            met[name] = met.get(name, 0) + 1  # a record may launch a kernel at several types
            rows.setdefault((*name, met[name]), {}).update(line.get("found", {}))
    architectures = sorted({a for found in rows.values() for a in found}, key=int)
    spilling = [key for key, found in rows.items() if any(s["spills"] for s in found.values())]
    text = f"{KERNELS}\n\n{len(rows)} kernels, for {', '.join(f'sm_{a}' for a in architectures)}: "
    text += (
        f"{sum(len(found) for found in rows.values())} pieces of machine code, of which {len(spilling)} kernels spill "
    )
    text += (
        "registers. Registers a thread by architecture; *stack* is the most bytes of local memory (the slow path of "
    )
    text += "sine and cosine for huge arguments has some), *shared* the bytes of shared memory of a block. Kernels of "
    text += "integers and complex numbers are compiled several to a launch. dtype: NumPy's letter of the operands. "
    text += (
        "CUDA 12 compiled up to sm_90, CUDA 13 the others; PTX up to sm_90 comes from one run of the optimiser, whose "
    )
    text += "result is the same for each.\n\n"
    text += f"| kernel | dtype | {' | '.join(f'sm_{a}' for a in architectures)} | spills | stack | shared |\n"
    text += "| --- | --- |" + " ---: |" * (len(architectures) + 3) + "\n"
    for (name, dtype, _), found in sorted(rows.items()):
        if not found:
            continue
        most = {what: max(s[what] for s in found.values()) for what in ("spills", "stack", "shared")}
        registers = " | ".join(str(found[a]["registers"]) if a in found else "" for a in architectures)
        text += f"| {name} | {dtype} | {registers} | {most['spills']} | {most['stack']} | {most['shared']} |\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    kept = KERNELS + PAGE.read_text(encoding="utf-8").partition(KERNELS)[2]
    PAGE.write_text(HEAD + records() + (kernels(arguments.reports) if arguments.reports else kept), encoding="utf-8")


if __name__ == "__main__":
    main()
