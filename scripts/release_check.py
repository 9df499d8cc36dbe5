#!/usr/bin/env python
"""Build the distributions, and try the wheel in empty environments: each Python, the oldest and newest dependencies.

1. Builds the source distribution, and the wheel from that; `twine check --strict` reads their metadata.
2. For each Python that is here (3.10 to 3.13, from the PATH or pyenv), once with the newest NumPy, Numba and SciPy and
   once with the oldest that pyproject.toml allows (and that exist for that Python): makes an environment, installs the
   wheel, and there, in a folder outside the checkout, runs the README's code, the examples of scripts/demo, and tests.

Run:  python scripts/release_check.py [--pythons 3.11 3.13] [--dependencies newest] [--tests all]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
OLDEST = {"numpy": "2.0.*", "numba": "0.62.*", "scipy": "1.14.*", "optree": "0.14.*"}
LATER = {"3.13": {"numpy": "2.1.*"}}
"""Where a Python is younger than the oldest release of a dependency."""
TESTS = ("test_engine.py", "test_functional.py", "test_compiler.py", "test_saving.py", "test_tutorial.py")
README = """
import pathlib, sys
sys.path.insert(0, "tests")
import pages
page = pages.ROOT / "README.md"
pages.run(page, [block for block in pages.blocks_of(page) if not pages.missing(block.needs)])
import tapegrad
assert "site-packages" in tapegrad.__file__, tapegrad.__file__
"""


@dataclass
class Outcome:
    what: str
    passed: bool
    seconds: float
    said: str


class Checks:
    """Commands, one after another, and what came of each."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def run(self, what: str, command: list, **options) -> bool:
        """Run a command; it is shown in full where it fails."""
        began = time.monotonic()
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
        lines = (done.stdout + done.stderr).strip().splitlines() or [""]
        said = next((line for line in reversed(lines) if " passed" in line or " failed" in line), lines[-1])
        outcome = Outcome(what, done.returncode == 0, time.monotonic() - began, said)
        self.outcomes.append(outcome)
        print(f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.seconds:5.0f} s  {what}: {said[:120]}", flush=True)
        if not outcome.passed:
            print("\n".join(lines[-40:]), flush=True)
        return outcome.passed


def interpreter(version: str) -> Path | None:
    """A Python of that version that runs."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(root.glob(f"versions/{version}.*/bin/python"), reverse=True),
    ]
    for candidate in candidates:
        if (
            candidate
            and subprocess.run([candidate, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0
        ):
            return Path(candidate)
    return None


def environment(python: Path, folder: Path) -> Path:
    """The Python of a new virtual environment."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    return folder / "bin" / "python"


def build(checks: Checks, folder: Path) -> Path | None:
    """Both distributions; returns the wheel."""
    tools = environment(Path(sys.executable), folder / "tools")
    pip = [tools, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not checks.run("build tools", [*pip, "build", "twine"]):
        return None
    if not checks.run("sdist and wheel", [tools, "-m", "build", "--outdir", folder / "dist", ROOT]):
        return None
    made = sorted((folder / "dist").iterdir())
    checks.run("metadata", [tools, "-m", "twine", "check", "--strict", *made])
    return next((path for path in made if path.suffix == ".whl"), None)


def constraints(version: str, which: str) -> list[str]:
    if which == "newest":
        return []
    return [f"{name}=={wanted}" for name, wanted in {**OLDEST, **LATER.get(version, {})}.items()]


def try_wheel(checks: Checks, wheel: Path, version: str, which: str, tests: list[str], folder: Path) -> None:
    """One environment: install, README, examples, tests."""
    name = f"Python {version}, {which} dependencies"
    found = interpreter(version)
    if found is None:
        print(f"absent        {name}: there is no Python {version} here", flush=True)
        return
    here = folder / f"{version}-{which}"
    python = environment(found, here / "env")
    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as archive:
        archive.extractall(here, filter="data")
    source = next(here.glob("tapegrad-*"))
    shutil.rmtree(source / "tapegrad")  # what is imported is what was installed
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = [f"{wheel}[scipy,demo]", "pytest>=8.2", "hypothesis>=6.100", *constraints(version, which)]
    options = {"cwd": source, "env": {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": ""}}
    if not checks.run(f"{name}: install", [*pip, *wanted], **options):
        return
    versions = "import sys, numpy, numba, scipy; print(sys.version.split()[0], *[f'{m.__name__} {m.__version__}' "
    checks.run(f"{name}: versions", [python, "-c", versions + "for m in (numpy, numba, scipy)])"], **options)
    checks.run(f"{name}: README", [python, "-c", README], **options)
    for example in ("autograd_tutorial.py", "digits_mlp.py"):
        checks.run(f"{name}: {example}", [python, source / "examples" / example], **options)
    chosen = ["tests"] if tests == ["all"] else [f"tests/{test}" for test in tests]
    checks.run(
        f"{name}: tests", [python, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *chosen], **options
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, choices=PYTHONS)
    parser.add_argument("--dependencies", nargs="+", default=("newest", "oldest"), choices=("newest", "oldest"))
    parser.add_argument("--tests", nargs="+", default=list(TESTS), help="files in tests/, or all")
    options = parser.parse_args()
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="tapegrad-release-") as name:
        wheel = build(checks, Path(name))
        for version in options.pythons if wheel else ():
            for which in options.dependencies:
                try_wheel(checks, wheel, version, which, options.tests, Path(name))
    failed = [outcome.what for outcome in checks.outcomes if not outcome.passed]
    print(f"{len(checks.outcomes)} checks, {len(failed)} failed" + "".join(f"\n  {what}" for what in failed))
    sys.exit(bool(failed) or wheel is None)


if __name__ == "__main__":
    main()
