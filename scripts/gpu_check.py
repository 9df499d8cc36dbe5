"""Try every record on a GPU, compare with the CPU, measure bandwidth and speed, and print a report to send back."""

from __future__ import annotations

import argparse
import pathlib
import platform
import sys
import time
import traceback
import warnings

import numpy as np

import tapegrad as tg
from tapegrad.cuda import table
from tapegrad.cuda.scalars import precision
from tapegrad.primitives.core import RECORDS
from tapegrad.values import value_of

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

MOST = 1e4
"""Units of the last place by which a value may differ."""


class Report:
    """Lines that are printed and kept."""

    def __init__(self):
        self.lines: list[str] = []
        self.failures = 0

    def say(self, line: str = "") -> None:
        print(line, flush=True)
        self.lines.append(line)

    def fail(self, line: str) -> None:
        self.failures += 1
        self.say(f"FAILED {line}")


def machine(report: Report) -> None:
    """What it runs on."""
    device = tg.cuda.device_of("cuda")
    free, total = device.driver.memory_info()
    report.say(
        f"tapegrad {tg.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, {platform.platform()}"
    )
    for name in ("numba", "numba_cuda", "cuda.bindings"):
        try:
            module = __import__(name, fromlist=["__version__"])
            report.say(f"{name} {getattr(module, '__version__', '?')}")
        except ImportError:
            report.say(f"{name} is not installed")
    capability = getattr(device.driver, "compute_capability", "none")
    report.say(f"{device}: {device.driver.name}, compute capability {capability}, {total >> 20} MiB, {free >> 20} free")


def compare(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, in units of the last place of the largest element; 0 if all is equal."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise ValueError(f"{found.dtype}{found.shape} rather than {expected.dtype}{expected.shape}")
    if expected.dtype.kind not in "fc":
        return 0.0 if np.array_equal(found, expected) else np.inf
    finite = np.isfinite(expected)
    if not np.array_equal(np.isfinite(found), finite):
        return np.inf
    scale = np.max(np.abs(expected[finite]), initial=0.0) or 1.0
    return float(np.max(np.abs(found[finite] - expected[finite]), initial=0.0) / scale / np.finfo(expected.dtype).eps)


def records(report: Report, quick: bool) -> None:
    """Values and cotangents of every record."""
    from records import derivative_state, generator, orders, smooth_cases, value_cases

    report.say("\n## Records (differences from the CPU in units of the last place)\n")
    report.say(f"Above {MOST:,.0f} is a failure, but where SciPy's function or a search for an inverse has few.")
    report.say()
    worst: list[tuple[float, str]] = []
    for name, record in sorted(RECORDS.items()):
        if name in ("view", "copy_slices", "external", "isnat"):
            continue
        try:
            largest = 0.0
            for case in list(value_cases(record))[: 2 if quick else None]:
                if quick and any(x.size > 100 for x in case.operands):
                    continue
                y = case.on([tg.tensor(x, device="cuda") for x in case.operands])
                largest = max(largest, compare(value_of(y), case.reference(case.operands)))
            rule = derivative_state(record) == "rule"
            for case in list(smooth_cases(record))[: 1 if quick else None] if rule else ():
                reference = case.reference(case.operands)
                if not case.moving or reference.dtype.kind not in "fc" or orders(case) < 1:
                    continue
                weights = np.asarray(generator(name).uniform(0.5, 1.5, reference.shape)).astype(reference.dtype)
                grads = []
                for place in ("cuda", "cpu"):
                    operands = enumerate(case.operands)
                    leaves = [tg.tensor(x, device=place, requires_grad=k in case.moving) for k, x in operands]
                    y = case.on(leaves)
                    if y.requires_grad:
                        y.backward(weights)
                    grads.append([value_of(leaves[k].grad) for k in case.moving if leaves[k].grad is not None])
                largest = max([largest, *[compare(a, b) for a, b in zip(*grads, strict=True)]])
            worst.append((largest, name))
            if largest > max(MOST, precision(name)):
                report.fail(f"{name}: {largest:.3g}")
        except Exception as error:
            report.fail(f"{name}: {type(error).__name__}: {error}".splitlines()[0])
            report.lines += traceback.format_exc().splitlines()[-6:]
            device = tg.cuda.device_of("cuda")
            device.leave(device.tape_of(None))
    states = [table.entry(r)[0] for r in RECORDS.values()]
    report.say(f"{len(worst)} records: " + ", ".join(f"{states.count(s)} {s}" for s in sorted(set(states))))
    for largest, name in sorted(worst, reverse=True)[:10]:
        report.say(f"  {name}: {largest:.3g}")


def seconds(run, repeat: int = 5) -> float:
    """The shortest time of several runs, with all work done."""
    run()
    tg.cuda.synchronize()
    best = np.inf
    for _ in range(repeat):
        start = time.perf_counter()
        kept = run()
        tg.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
        del kept
    return best


def peak_bandwidth() -> float | None:
    """Bytes a second that the device's memory can move, from its clock and width; None where it does not tell."""
    driver = tg.cuda.device_of("cuda").driver
    if tg.cuda.is_simulated():
        return None
    try:
        with driver.context:
            device = driver.cuda.get_current_device()
            return 2.0 * device.MEMORY_CLOCK_RATE * 1e3 * device.GLOBAL_MEMORY_BUS_WIDTH / 8
    except Exception:
        return None


def speed(report: Report, quick: bool) -> None:
    """Bandwidth of streaming kernels, products, reductions, and what a launch costs."""
    report.say("\n## Speed\n")
    n = 1000 if quick else 1 << 26
    x = tg.tensor(np.ones(n, np.float32), device="cuda")
    y = tg.tensor(np.ones(n, np.float32), device="cuda")
    peak = peak_bandwidth()
    report.say(f"memory's peak: {peak / 1e9:.4g} GB/s" if peak else "memory's peak: not told by the device")
    streams = {
        "copy": (lambda: x.clone(), 2),
        "add": (lambda: x + y, 3),
        "sin(x) * y + x, fused": (lambda: np.sin(x) * y + x, 3),
        "sum": (lambda: np.sum(x), 1),
    }
    for name, (run, arrays) in streams.items():
        took = seconds(run)
        rate = arrays * 4 * n / took
        share = f", {100 * rate / peak:.3g} % of the peak" if peak else ""
        report.say(f"{name}, {n} float32: {took * 1e3:.4g} ms, {rate / 1e9:.4g} GB/s{share}")
    host = np.ones(n, np.float32)
    copies = {"host to device": lambda: tg.tensor(host, device="cuda"), "device to host": lambda: x.cpu()}
    for name, run in copies.items():
        took = seconds(run)
        report.say(f"{name}, {n} float32: {took * 1e3:.4g} ms, {4 * n / took / 1e9:.4g} GB/s")
    m = 8 if quick else 4096
    for dtype in (np.float32, np.float64):
        a = tg.tensor(np.ones((m, m), dtype), device="cuda")
        took = seconds(lambda: a @ a, 3)  # noqa: B023 -- it is called before the next turn
        report.say(
            f"product of {m} x {m}, {np.dtype(dtype).name}: {took * 1e3:.4g} ms, {2 * m**3 / took / 1e12:.4g} TFLOP/s"
        )
    small = tg.tensor(np.ones(16), device="cuda")
    together = tg.cuda.device_of("cuda").driver.together
    report.say(f"blocks that can wait for each other: {together}")
    report.say(f"one launch and its wait: {seconds(lambda: small * 2.0, 20) * 1e6:.4g} us")

    def gradient(size):
        leaf = tg.tensor(np.ones(size), device="cuda", requires_grad=True)
        (np.sin(leaf) * leaf).sum().backward()
        return leaf.grad

    for size in (16,) if quick else (16, 20000):
        report.say(f"a gradient of {size} elements: {seconds(lambda: gradient(size), 20) * 1e6:.4g} us")  # noqa: B023


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and few cases: to try the script itself")
    parser.add_argument("--output", default="gpu_report.txt", help="where the report is written")
    arguments = parser.parse_args()
    if not tg.cuda.is_available():
        print("There is no NVIDIA GPU that can be used here (nvidia-smi tells whether the driver sees one).")
        return 2
    report = Report()
    warnings.simplefilter("ignore", table.HostFallbackWarning)
    machine(report)
    records(report, arguments.quick)
    try:
        speed(report, arguments.quick)
    except Exception:
        report.fail("speed")
        report.lines += traceback.format_exc().splitlines()
    report.say(f"\n{report.failures} failures")
    pathlib.Path(arguments.output).write_text("\n".join(report.lines) + "\n", encoding="utf-8")
    print(f"The report is in {arguments.output}: please send it back.")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
