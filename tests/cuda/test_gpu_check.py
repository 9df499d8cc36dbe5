"""The script that a person with a card runs once finds nothing wrong where all is well."""

import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "gpu_check.py"


def test_a_report_without_failures(tmp_path):
    report = tmp_path / "report.txt"
    command = [sys.executable, str(SCRIPT), "--quick", "--output", str(report)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    text = report.read_text(encoding="utf-8")
    assert "simulated in Python" in text and "\n0 failures" in text
