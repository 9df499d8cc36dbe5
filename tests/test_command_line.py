"""The command ``tapegrad``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import cli
from tapegrad.cli import bench, info, warmup
from tapegrad.cli.problems import PROBLEMS
from tapegrad.vm import cache


def run(capsys, *words):
    """Exit status, and what is printed to both streams."""
    status = cli.main(list(words))
    found = capsys.readouterr()
    return status, found.out, found.err


def loss(w, x):
    return np.sum(np.tanh(x @ w)) if np.max(w) > 0 else np.sum(w)


@pytest.fixture
def saved(tmp_path):
    step = tg.compile(tg.value_and_grad(loss))
    step(np.ones(3), np.ones((4, 3)))
    step(-np.ones(3), np.ones((4, 3)))
    step.save(tmp_path / "step.tape")
    return tmp_path / "step.tape"


def test_as_a_module_in_a_process_of_its_own():
    done = subprocess.run(
        [sys.executable, "-m", "tapegrad", "--version"], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout == f"tapegrad {tg.__version__}\n"


def test_wrong_usage_names_what_there_is(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["fly"])
    assert "invalid choice: 'fly'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(command in text for command in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert "--json" in text and text.count("\n") > 4


def test_info(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    status, text, _ = run(capsys, "info")
    assert status == 0
    for part in (tg.__version__, np.__version__, "recording", "deferral on", "OMP_NUM_THREADS 1", "sin"):
        assert part in " ".join(text.split())
    status, text, _ = run(capsys, "info", "--json")
    found = json.loads(text)
    assert found["versions"]["numpy"] == np.__version__
    assert found["kernels"]["sin"].keys() == {"float64", "float32"}
    assert found["cuda"]["device"] or found["cuda"]["reason"]


def test_info_without_a_cache_says_what_to_do(monkeypatch):
    monkeypatch.setattr(cache, "_folders", lambda: iter(()))
    found = info.collect()
    assert found["cache"] == {"folder": None, "files": 0, "bytes": 0}
    assert "set TAPEGRAD_CACHE_DIR" in info.show(found)


def test_the_state_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TAPEGRAD_CACHE_DIR", str(tmp_path))
    assert cache.state()["files"] == 0 and str(tmp_path) in cache.state()["folder"]
    cache.write("some.o", b"12345")
    assert cache.state()["files"] == 1 and cache.state()["bytes"] == 37
    assert "empty: tapegrad warmup fills it" not in info._cache_text(cache.state())


def test_warmup_runs_its_jobs(capsys, monkeypatch):
    names = [name for name, _ in warmup.jobs()]
    assert len(names) == len(set(names)) > 80
    done = []
    monkeypatch.setattr(warmup, "jobs", lambda: [("one", lambda: done.append(1)), ("two", lambda: done.append(2))])
    status, text, err = run(capsys, "warmup", "--quiet")
    assert (status, done, err) == (0, [1, 2], "") and text.startswith("2 jobs in ")
    status, text, _ = run(capsys, "warmup", "--json")
    assert json.loads(text)["jobs"] == 2
    monkeypatch.setitem(sys.modules, "tqdm", None)
    _, _, err = run(capsys, "warmup")
    assert "0 of 2: one" in err


def test_warmup_shows_a_bar(capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(warmup, "jobs", lambda: [("one", lambda: None)] * 3)
    assert "0 of 3: one" in run(capsys, "warmup")[2]  # into a file, lines
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True)
    assert "0/3" in run(capsys, "warmup")[2]


def test_warmup_without_a_cache_is_refused(capsys, monkeypatch):
    monkeypatch.setattr(cache, "_folders", lambda: iter(()))
    status, text, err = run(capsys, "warmup")
    assert (status, text) == (1, "") and "Set TAPEGRAD_CACHE_DIR to a folder of yours" in err


@pytest.mark.slow
def test_after_warmup_nothing_is_compiled(tmp_path):
    program = (
        "import sys, numpy as np, tapegrad as tg; from tapegrad.cli import main; main(sys.argv[1:]);"
        "x = tg.tensor([1.0, 2.0], requires_grad=True); y = x * x; y += 1.0; y[0] = x[1]; np.exp(y).sum().backward();"
        "tg.compile(tg.value_and_grad(lambda x: np.sum(np.sin(x) / x)))(np.ones(3)); print('numba' in sys.modules)"
    )
    environment = {**os.environ, "TAPEGRAD_CACHE_DIR": str(tmp_path)}
    for expected in ("True", "False"):
        done = subprocess.run(
            [sys.executable, "-c", program, "warmup", "--quiet"],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == expected


def test_inspect(capsys, saved):
    status, text, _ = run(capsys, "inspect", str(saved))
    assert status == 0
    for part in (
        "loss",
        "checked and not run",
        "0: float64[3], 1: float64[4, 3]",
        "tanh(",
        "test_command_line.py",
        "True",
    ):
        assert part in text
    found = json.loads(run(capsys, "inspect", str(saved), "--json", "--rows", "5")[1])
    (signature,) = found["signatures"]
    assert len(signature["paths"]) == 2
    assert {path["guards"][0]["answer"] for path in signature["paths"]} == {"True", "False"}


def test_a_reader_that_has_seen_enough_is_no_error(saved):
    command = f"{sys.executable} -m tapegrad inspect {saved} --rows 100000 | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1 and done.stderr == ""


def test_without_a_command_there_is_help(capsys):
    status, text, err = run(capsys)
    assert (status, text) == (2, "") and all(command in err for command in cli.COMMANDS)


def test_output_that_cannot_be_written_is_told():
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no full device here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tapegrad", "info"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "tapegrad info: the output cannot be written: No space left on device\n"


def test_interrupted_commands_leave_no_traceback(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(warmup, "jobs", lambda: [("one", interrupted)])
    assert run(capsys, "warmup", "--quiet") == (130, "", "tapegrad warmup: interrupted\n")


def test_terminals_that_lack_letters_have_others():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "tapegrad", "demo", "--steps", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.isascii() and "s a step" in done.stdout


def test_control_characters_of_a_file_do_not_reach_the_terminal(capsys, saved):
    step = tg.load(saved)
    step.__name__ = "loss\x1b[2J\x07"
    step.save(saved)
    text = run(capsys, "inspect", str(saved))[1]
    assert r"loss\x1b[2J\x07" in text and "\x1b" not in text


def test_inspect_does_not_run_what_it_reads(capsys, saved, monkeypatch):
    monkeypatch.setattr(type(tg.load(saved).paths()[0]), "run", lambda *_: pytest.fail("it was run"))
    assert run(capsys, "inspect", str(saved))[0] == 0


@pytest.mark.parametrize("damage", [lambda b: b[:40], lambda b: b"no tape", lambda b: b[:-3] + b"xyz"])
def test_inspect_refuses_what_is_damaged(capsys, saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    status, text, err = run(capsys, "inspect", str(saved))
    assert (status, text) == (1, "") and err.startswith(f"tapegrad inspect: {saved} cannot be loaded: ")
    status, _, err = run(capsys, "inspect", str(saved), "--json")
    assert status == 1 and "cannot be loaded" in json.loads(err)["error"]


def test_inspect_of_a_file_that_is_not_there_or_too_large(capsys, saved, tmp_path):
    assert "cannot be read: No such file" in run(capsys, "inspect", str(tmp_path / "none"))[2]
    assert "cannot be read: Is a directory" in run(capsys, "inspect", str(tmp_path))[2]
    assert "cannot be read: it is a device" in run(capsys, "inspect", os.devnull)[2]
    assert run(capsys, "inspect", str(saved), "--most-bytes", "8")[0] == 1


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_gradients_by_hand_are_right(problem):
    given = problem.arguments()
    value, gradient = problem.by_hand(*given)
    mine = tg.value_and_grad(problem.function)(*given)
    np.testing.assert_allclose(value, mine[0], rtol=1e-12)
    for a, b in zip(*(g if isinstance(g, tuple) else (g,) for g in (gradient, mine[1])), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_bench(capsys, monkeypatch):
    monkeypatch.setattr(bench, "SAMPLE", 1e-4)
    status, text, _ = run(capsys, "bench", "--rounds", "1", "--only", "n = 10")
    assert status == 0 and text.count("Rosenbrock") == 2 and "by hand" in text
    found = json.loads(run(capsys, "bench", "--rounds", "1", "--only", "network", "--json")[1])
    (problem,) = found["problems"]
    assert all(0 < problem[name] < 10 for name in ("by hand", "dynamic", "compiled"))


def test_bench_refuses_what_it_has_not(capsys):
    assert "There are: Rosenbrock" in run(capsys, "bench", "--only", "pi")[2]


@pytest.mark.parametrize(
    "words", ["bench --rounds 0", "demo --steps -3", "inspect x --rows 0", "inspect x --most-bytes 1e9"]
)
def test_counts_are_whole_numbers(capsys, words):
    with pytest.raises(SystemExit, match="2"):
        cli.main(words.split())
    err = capsys.readouterr().err
    assert f"argument {words.split()[-2]}: must be a whole number, 1 or more, not '{words.split()[-1]}'" in err


def test_demo(capsys):
    status, text, _ = run(capsys, "demo", "--steps", "20")
    assert status == 0 and "log1p(%" in text and "compiled" in text
    found = json.loads(run(capsys, "demo", "--steps", "20", "--json")[1])
    np.testing.assert_allclose(found["gradient"], found["difference quotients"], rtol=1e-6)
    assert found["compiled"]["accuracy"] > 0.8 and found["largest difference"] < 1e-12
