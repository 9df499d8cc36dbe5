"""What the forward of a rule of the user's own reads: its arguments, and nothing else that is being differentiated.

A rule gives cotangents of arguments. What a forward captures (a variable of the function around it, an element of a
list, an attribute) gets none: in a transformation that is refused, and in PyTorch's manner of working, where some
backwards write gradients of parameters themselves, it is warned of. Rows tell what was read: whatever requires grad is
an argument, was made by the forward, or was captured.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ..tape.handle import Tensor
from ..tape.signature import by_index
from ..tape.state import local
from ..tape.tape import Tape
from ..values import TracedValueError
from ..vm import opcodes as op

__all__ = ["Forward", "UsersRule"]


class UsersRule(NamedTuple):
    """What messages say of a function with a rule.

    Attributes
    ----------
    name : str
    functions : sequence of callable
        The user's, among whose variables the name of what was captured is looked for.
    args : sequence
        As the user passed them.
    strict : bool
        Whether to refuse outside of transformations, too.
    """

    name: str
    functions: Sequence[Callable]
    args: Sequence[Any]
    strict: bool


class Forward:
    """A forward under way, within a block of `users_code`; refuses, at its end, what it captured.

    Parameters
    ----------
    rule : callable
        ``rule(args) -> UsersRule``, called where a message is needed.
    args : sequence
        Tensors among them are arguments; what lies in containers is not.
    """

    __slots__ = (
        "args", "around", "captured", "enabled", "given", "known", "made", "places", "rule", "starts", "tapes",
        "traced",
    )  # fmt: skip

    def __init__(self, rule: Callable[[Any], UsersRule], args: Sequence[Any]):
        state = local.state
        self.around, self.enabled, self.traced = state.forward, state.grad_enabled, state.is_differentiated()
        self.rule, self.given = rule, args
        self.args = [t for t in args if isinstance(t, Tensor)]
        self.places = [(t._tape, t._slot) for t in self.args]  # before the forward, which may write them
        self.known: set | None = None
        if any([t._rare._base is not None for t in self.args]):
            self.known = self.keys
        self.made: dict[int, Tensor] = {}
        self.captured: Any = None

    def __enter__(self) -> None:
        state = local.state
        # Views of an argument are recorded where that stands, which need not be the thread's tape.
        self.tapes = {id(state.tape): state.tape}
        for tape in (*[d.tape_of(state) for d in state.devices], *[tape for tape, _ in self.places]):
            if tape is not None:
                self.tapes[id(tape)] = tape
        self.starts = {number: len(tape.rows) for number, tape in self.tapes.items()}
        if self.enabled:
            state.forward = self

    def __exit__(self, kind: Any, *_: Any) -> None:
        state = local.state
        watched, state.forward = state.forward is self, self.around
        if kind is not None or not watched:
            return
        for tape in list(self.tapes.values()):
            self.leave(tape)
        if self.captured is not None:
            self._refuse(*self.captured)

    # --- what others tell it --------------------------------------------------------------------------

    def leave(self, tape: Tape) -> None:
        """A tape comes to its end: look at what was recorded on it."""
        rows, slot = tape.rows, self.starts.get(id(tape), 0)
        end = len(rows)
        while slot < end:
            signature = by_index[rows[slot] >> op.SIGNATURE_SHIFT]
            if signature.reads_grad:
                for k, spec in zip(tape.operands(slot), signature.specs, strict=True):
                    if not spec.requires_grad or (tape, k) in self.places or self._is_own(key := _key(tape, k)):
                        continue
                    if signature.primitive.carries_grad(signature.specs, signature.out):
                        self.captured = key, spec
            slot += signature.width
        self.tapes.pop(id(tape), None)

    def follow(self, tape: Tape) -> None:
        """A new tape goes on."""
        self.starts[id(tape)] = 0
        self.tapes[id(tape)] = tape

    def own(self, leaf: Tensor) -> None:
        """A leaf was made inside."""
        self.made[id(leaf)] = leaf

    def loses(self, tensor: Tensor) -> bool:
        """Whether a plain number made of a tensor would lose a gradient."""
        return self.traced and not any(self._is_own(key) for key in _keys(tensor))

    # --- what it finds --------------------------------------------------------------------------------

    @property
    def keys(self) -> set:
        """All that the arguments went by before the forward."""
        if self.known is None:
            self.known = set()
            for t, (tape, slot) in zip(self.args, self.places, strict=True):
                self.known |= _keys(t) if t._base is None else _keys(t) | _keys(t._base)
                if tape is not None and not t._leaf:
                    self.known.add(_key(tape, slot))
        return self.known

    def _is_own(self, key: Any) -> bool:
        """Whether a place is an argument's, or was made inside."""
        if key in self.keys or key in self.made:
            return True
        if isinstance(key, int):
            return False
        start = self.starts.get(id(key[0]))
        return start is not None and key[1] >= start

    def _refuse(self, key: Any, spec: Any) -> None:
        rule, type_ = self.rule(self.given), f"{spec.dtype.name}{list(spec.shape)}"
        name = _name_of(key, rule)
        what = f"{name} ({type_})" if name else f"a value of type {type_}"
        given = name.strip("`") if name.startswith("`") else "x"
        if self.traced or rule.strict:
            raise TracedValueError(
                f"{rule.name} uses {what}, which is being differentiated and is none of the arguments that its rule "
                f"is for: its gradient would be lost. Make it an argument of its own, and let the rule return its "
                f"cotangent, too; or stop its gradient on purpose, with tapegrad.stop_gradient({given})"
            )
        warnings.warn(
            f"the forward of {rule.name} uses {what}, which requires grad and is no argument of apply(): no gradient "
            f"flows to it through this call, as in PyTorch. Pass it to apply(), or use {given}.detach() in forward",
            UserWarning,
            stacklevel=4,
        )


def _key(tape: Tape, slot: int) -> Any:
    """What stands in a slot: the number of a leaf (or of a tensor that is captured), or a tape and a slot."""
    if tape.signature(slot).kind != op.IMPORT:
        return tape, slot
    home = tape.imported(slot)[2]
    if isinstance(home, Tensor):
        return id(home)
    if home is None:
        return next((number for number, (_, at) in tape.captured.items() if at == slot), (tape, slot))
    return home


def _keys(t: Tensor) -> set:
    """All that a tensor goes by."""
    keys: set = {id(t)}
    if t._home is not None:
        keys.add(t._home)
    elif t._tape is not None and not t._leaf:
        keys.add(_key(t._tape, t._slot))
    return keys


# --- names ---------------------------------------------------------------------------------------------------------


def _name_of(key: Any, rule: UsersRule) -> str:
    """The variable, or the place among the arguments, that holds what was captured; empty if none is found."""
    for name, value in _variables(rule.functions):
        for inner, found in _parts(name, value):
            if isinstance(found, Tensor) and key in _keys(found):
                return f"`{inner}`"
    for k, value in enumerate(rule.args):
        if any(isinstance(found, Tensor) and key in _keys(found) for _, found in _parts("", value)):
            return f"what argument {k} holds"
    return ""


def _variables(functions: Sequence[Callable]) -> Iterator[tuple[str, Any]]:
    """Variables from outside that functions mention, and those of functions among them."""
    stack, met = list(functions), set()
    while stack:
        found: Any = stack.pop()
        if isinstance(found, types.MethodType):
            yield "self", found.__self__
            found = found.__func__
        if not isinstance(found, types.FunctionType) or found in met:
            continue
        met.add(found)
        for name, cell in zip(found.__code__.co_freevars, found.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not bound yet
                continue
            yield name, value
            stack.append(value)
        for name in found.__code__.co_names:
            if name in found.__globals__:
                yield name, found.__globals__[name]


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value, and what it holds."""
    yield name, value
    if isinstance(value, dict):
        yield from ((f"{name}[{k!r}]", v) for k, v in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((f"{name}[{k}]", v) for k, v in enumerate(value))
    elif not isinstance(value, (Tensor, type, types.ModuleType, types.FunctionType)):
        yield from ((f"{name}.{k}", v) for k, v in getattr(value, "__dict__", {}).items())
