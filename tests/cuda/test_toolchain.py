"""How kernels are put together."""

from __future__ import annotations

from tapegrad.cuda import scalars, toolchain


def test_functions_are_shared_by_all_that_call_them():
    """A function that was made for one kernel is complete for the next, whatever the attributes in it are called."""
    made: dict = {}
    for function in (scalars.floor_divide, scalars.fmod, scalars.remainder):
        copy = toolchain.build(function, lambda f: f, {}, made)
        called = copy.__globals__["truncated"]
        assert called is made[scalars.truncated]
        assert called(7.5, 2.0) == 1.5
    assert None not in made.values()
