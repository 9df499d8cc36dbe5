"""Random programs over arrays, as data: how they are drawn, printed and run by several libraries.

A program is a list of statements, each the text of one Python statement in NumPy's words and one in PyTorch's. Every
interpreter executes statement after statement; one that raises is recorded and skipped, so that what an error leaves
behind is compared as well. What a failing test prints is the source that was run.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.tape.current import rotate
from tapegrad.tape.state import local

try:
    import torch
except ImportError:  # the comparisons within tapegrad still run
    torch = None

ERRORS = (
    "modified by an inplace operation",
    "a leaf Variable that requires grad",
    "refers to a single memory location",
    "Trying to backward through the graph a second time",
    "grad can be implicitly created only for scalar outputs",
    "grad can be implicitly created only for real scalar outputs",
    "A view was created in no_grad mode",
    "appears to not have been used in the graph",
    "does not require grad",
    "can't retain_grad on Tensor that has requires_grad=False",
)
"""Words by which users search; the same in both libraries."""

EMPTY = True
"""Whether arrays without elements are drawn as well."""


@dataclass(frozen=True)
class Statement:
    """One statement in both libraries' words, the variable it makes, and whether a compiled function may contain it."""

    numpy: str
    torch: str
    made: str | None = None
    static: bool = True


@dataclass(frozen=True)
class Leaf:
    """A variable made before the first statement."""

    name: str
    shape: tuple
    requires_grad: bool
    seed: int

    def value(self, dtype, shift=0):
        return values(self.seed + shift, self.shape, dtype)


@dataclass(frozen=True)
class Program:
    """Leaves, statements and a loss."""

    dtype: str
    leaves: tuple
    statements: tuple
    loss: tuple  # (variable, seed of its weights, shape)
    # variables that are a view in one library and a copy in another
    loose: frozenset = field(default_factory=frozenset)

    @property
    def static(self):
        """Whether the program can be recorded once and replayed."""
        return all(s.static for s in self.statements)

    def source(self, library="numpy"):
        """Runnable source."""
        constants = _COMPLEX_CONSTANTS if self.dtype.startswith("complex") else _CONSTANTS
        lines = [_HEADERS[library].format(constants=constants.format(dtype=self.dtype))]
        for leaf in self.leaves:
            made = f"C({leaf.seed}, {leaf.shape})"
            flag = f"requires_grad={leaf.requires_grad}"
            lines.append(
                f"{leaf.name} = tg.tensor({made}, {flag})"
                if library == "numpy"
                else f"{leaf.name} = {made}.requires_grad_({leaf.requires_grad})"
            )
        lines += [getattr(s, library) for s in self.statements]
        lines += [f"loss = {self.loss_text()}", "loss.backward()"]
        lines += [f"print({leaf.name!r}, {leaf.name}.grad)" for leaf in self.leaves if leaf.requires_grad]
        return "\n".join(lines)

    def loss_text(self):
        total = " + ".join(f"({name} * C({seed}, {shape})).sum()" for name, seed, shape in self.loss)
        return f"real({total})" if self.dtype.startswith("complex") else total

    def function_source(self):
        """The program as a function of its leaves."""
        body = [f"{leaf.name} = np.copy({leaf.name})" for leaf in self.leaves if not leaf.requires_grad]
        body += [line for s in self.statements for line in s.numpy.splitlines()]
        body.append(f"return {self.loss_text()}")
        names = ", ".join(leaf.name for leaf in self.leaves)
        return f"def f({names}):\n" + "\n".join("    " + line for line in body)

    def __repr__(self):
        parts = [f"# --- tapegrad\n{self.source()}"]
        if torch is not None:
            parts.append(f"# --- PyTorch\n{self.source('torch')}")
        return "\n" + "\n\n".join(parts) + "\n"


_HEADERS = {
    "numpy": (
        "import numpy as np\nimport tapegrad as tg\n"
        "{constants}\n"
        "def C(seed, shape): return constants(seed, shape)\n"
        "def M(seed, shape): return np.random.default_rng(seed).random(shape) < 0.5\n"
        "I, real, no_grad, gradient = np.array, np.real, tg.no_grad, tg.autograd.grad"
    ),
    "torch": (
        "import numpy as np\nimport torch\n"
        "{constants}\n"
        "def C(seed, shape): return torch.tensor(constants(seed, shape))\n"
        "def M(seed, shape): return torch.tensor(np.random.default_rng(seed).random(shape) < 0.5)\n"
        "I, real, no_grad, gradient = torch.tensor, torch.real, torch.no_grad, torch.autograd.grad"
    ),
}
_CONSTANTS = (
    "def constants(seed, shape): return np.asarray(np.random.default_rng(seed).uniform(-2, 2, shape)).astype('{dtype}')"
)
_COMPLEX_CONSTANTS = (
    "def constants(seed, shape):\n"
    "    return np.tensordot([1, 1j], np.random.default_rng(seed).uniform(-2, 2, (2, *shape)), 1)"
)


def values(seed, shape, dtype):
    """The array that ``C(seed, shape)`` is."""
    if dtype.startswith("complex"):
        return np.asarray(np.tensordot([1, 1j], np.random.default_rng(seed).uniform(-2, 2, (2, *shape)), 1))
    return np.asarray(np.random.default_rng(seed).uniform(-2, 2, shape)).astype(dtype)


# --- drawing ---------------------------------------------------------------------------------------------------------


@dataclass
class _Variable:
    name: str
    shape: tuple
    storage: int
    dense: bool  # C-contiguous in every library
    leaf: bool = False
    expanded: bool = False


class _Draft:
    """A program under construction."""

    def __init__(self, draw, static, dtype, most=64):
        self.draw, self.static, self.dtype, self.most = draw, static, dtype, most
        self.complex = dtype.startswith("complex")
        self.variables: list[_Variable] = []
        self.statements: list[Statement] = []
        self.frozen: set[int] = set()  # storages that must not be written any more
        self.tracked: set[int] = set()  # storages of leaves that require grad
        self.quiet = False  # inside a no_grad block
        self.unseen: set[int] = set()  # storages that were written without history
        self.multiplied: set[int] = set()  # storages of which products were taken
        self.count = 0

    def number(self, low, high):
        return self.draw(st.integers(low, high))

    def pick(self, options):
        return self.draw(st.sampled_from(options))

    def fresh(self):
        self.count += 1
        return f"x{self.count - 1}"

    def seed(self):
        return self.number(0, 99)

    def add(self, text, other, shape, of=None, dense=True, static=True, expanded=False):
        """A statement that makes a variable, a view of `of` or a new array."""
        name = self.fresh()
        storage = of.storage if of is not None else 1000 + self.count
        self.statements.append(Statement(f"{name} = {text}", f"{name} = {other}", name, static))
        made = _Variable(name, tuple(shape), storage, dense, expanded=expanded)
        self.variables.append(made)
        return made

    def write(self, text, other=None, static=True):
        self.statements.append(Statement(text, text if other is None else other, None, static))

    def variable(self, where=lambda v: True):
        options = [v for v in self.variables if where(v)]
        return self.pick(options[::-1]) if options else None

    def target(self):
        if self.number(0, 4):  # most leaves refuse writes
            v = self.variable(lambda v: v.storage not in self.frozen | self.tracked)
            if v is not None:
                return v
        return self.variable(lambda v: v.storage not in self.frozen)

    def source(self):
        """What to differentiate with respect to.

        After a write without history PyTorch gives a view a new history all the same, to which nothing leads yet.
        """
        return self.variable(lambda v: v.storage not in self.unseen) or self.variables[0]

    def freeze(self, v):
        self.frozen.add(v.storage)

    def operand(self, shape, target=None):
        """Texts of something that broadcasts to `shape`, and whether it is dense."""
        kind = self.number(0, 3)
        if kind == 0:
            number = self.pick([0.5, -1.5, 2.0, 0.0, 3.0, 1.0])
            return (repr(number),) * 2, (), True
        if kind == 1:
            cut = self.number(0, len(shape))
            seed = self.seed()
            own = tuple(1 if self.number(0, 4) == 0 else n for n in shape[cut:])
            return (f"C({seed}, {own})",) * 2, own, True
        v = self.variable(lambda v: _fits(v.shape, shape))
        if v is None:
            return ("1.5", "1.5"), (), True
        if target is not None and not self.number(0, 7):  # another dtype; results follow the target's
            kind = "float64" if self.dtype == "float32" else "float32"
            if self.complex:
                return (
                    (
                        f"real({v.name}).astype('{kind}') * 1j",
                        f"real({v.name}).to(torch.{kind}) * 1j",  # it cannot copy real numbers into a complex slice
                    ),
                    v.shape,
                    v.dense,
                )
            return (f"{v.name}.astype('{kind}')", f"{v.name}.to(torch.{kind})"), v.shape, v.dense
        other = v.name
        if target is not None and v.storage == target.storage and v is not target:
            other += ".clone()"  # PyTorch refuses operands that overlap the target; NumPy reads before it writes
        return (v.name, other), v.shape, v.dense

    def size_ok(self, shape):
        return int(np.prod(shape)) <= self.most

    def real_sum(self, v):
        """Text of a scalar that can be differentiated."""
        return f"real({v.name}.sum())" if self.complex else f"{v.name}.sum()"


def _fits(shape, target):
    try:
        return np.broadcast_shapes(shape, target) == tuple(target)
    except ValueError:
        return False


def _key(d, shape, negative=True, newaxis=True):
    """Text of a basic key, that of the same elements without negative steps, and the axes to flip then."""
    parts, positive, flips, out_axis = [], [], [], 0
    for n in shape[: d.number(0, len(shape))]:
        kind = d.number(0, 5)
        if newaxis and kind == 5:
            parts.append("None")
            positive.append("None")
            out_axis += 1
            kind = 0
        if kind == 1 and n:
            k = d.number(-n, n - 1)
            parts.append(str(k))
            positive.append(str(k))
            continue
        if kind == 2 and n:
            a = d.number(0, n - 1)
            b = d.number(a if EMPTY else a + 1, n)
            text = f"{a}:{b}"
        elif kind == 3 and n:
            text = f"{d.number(0, n - 1)}::{d.number(1, 2)}"
        elif kind == 4 and n and negative:
            picked = range(n)[:: -d.number(1, 2)]
            parts.append(f"::{picked.step}")
            positive.append(f"{picked[-1]}:{picked[0] + 1}:{-picked.step}")
            flips.append(out_axis)
            out_axis += 1
            continue
        else:
            text = ":"
        parts.append(text)
        positive.append(text)
        out_axis += 1
    if newaxis and all(p == ":" for p in parts):
        return "None", "None", []  # x[...] and x[:] are x itself in PyTorch, not a view
    if not parts:
        return "...", "...", []
    return ", ".join(parts), ", ".join(positive), flips


def _shape_of(shape, key):
    model = np.broadcast_to(np.zeros(()), shape)
    return eval(f"model[{key}]", {"model": model, "np": np}).shape


def _binary(d):
    v = d.variable()
    (a, _), _, dense = d.operand(v.shape)
    name = d.pick(["+", "-", "*", "/", "where", "hypot"] + ["maximum", "minimum"] * (not d.complex))
    swap = d.number(0, 1)
    left, right = ((a, v.name), (v.name, a))[1 - swap]
    both = v.dense and dense
    if name in "+-*":
        text = f"{left} {name} {right}"
        other = text
    elif name == "/":
        other = text = f"{left} / ({right} * {right} + {'3.0j' if d.complex else '1.0'})"
    elif name == "where":
        seed = d.seed()
        if not a.startswith(("x", "C")):
            a = f"C({seed}, ())"
        left, right = ((a, v.name), (v.name, a))[1 - swap]
        condition = d.pick([f"M({seed}, {v.shape})", f"real({v.name}) > 0.25" if d.complex else f"{v.name} > 0.25"])
        text, other = f"np.where({condition}, {left}, {right})", f"torch.where({condition}, {left}, {right})"
        both = False
    elif name == "hypot":
        squares = f"{left} * {left} + {right} * {right} + 1.0"
        text, other = f"np.sqrt({squares})", f"torch.sqrt({squares})"
    else:
        if not a.startswith(("x", "C")):
            a = f"C({d.seed()}, ())"
        left, right = ((a, v.name), (v.name, a))[1 - swap]
        text, other = f"np.{name}({left}, {right})", f"torch.{name}({left}, {right})"
    d.add(text, other, v.shape, dense=both)


_UNARY = {
    "sin": "{x}", "cos": "{x}", "tanh": "{x}", "exp": "{l}.sin({x})", "log": "{x} * {x} + 0.5",
    "sqrt": "{x} * {x} + 0.25", "square": "{l}.tanh({x})", "log1p": "{x} * {x}", "negative": "{x}",
}  # fmt: skip


def _unary(d):
    v = d.variable()
    name = d.pick(list(_UNARY))
    inner = _UNARY[name]
    text, other = (f"{lib}.{name}({inner.format(x=v.name, l=lib)})" for lib in ("np", "torch"))
    d.add(text, other, v.shape, dense=v.dense)


def _view(d):
    v = d.variable()
    kind = d.pick("key key key transpose swap reshape ravel diagonal squeeze expand unsqueeze flip".split())
    n = len(v.shape)
    if kind == "key" or (n == 0 and kind not in ("unsqueeze", "expand")):
        key, positive, flips = _key(d, v.shape)
        shape = _shape_of(v.shape, key)
        other = f"{v.name}[{positive}]"
        if flips:
            other = f"torch.flip({other}, {tuple(flips)})"
            d.freeze(v)
        d.add(f"{v.name}[{key}]", other, shape, v, dense=False, expanded=v.expanded)
        if flips or v.expanded:
            d.freeze(v)
    elif kind == "transpose":
        axes = tuple(d.draw(st.permutations(range(n))))
        text = f"np.transpose({v.name}, {axes})" if d.number(0, 1) else f"{v.name}.transpose({axes})"
        d.add(text, f"torch.permute({v.name}, {axes})", [v.shape[k] for k in axes], v, dense=False, expanded=v.expanded)
    elif kind == "swap":
        a, b = d.number(-n, n - 1), d.number(-n, n - 1)
        shape = list(v.shape)
        shape[a], shape[b] = shape[b], shape[a]
        d.add(
            f"np.swapaxes({v.name}, {a}, {b})",
            f"torch.swapaxes({v.name}, {a}, {b})",
            shape,
            v,
            dense=False,
            expanded=v.expanded,
        )
    elif kind in ("reshape", "ravel"):
        size = int(np.prod(v.shape))
        if not v.dense:
            d.freeze(v)
        if kind == "ravel" or size == 0:
            flat = f"{v.name}.reshape(-1)" if size else f"{v.name}.reshape({v.shape})"
            d.add(flat, flat, (size,) if size else v.shape, v, dense=v.dense, expanded=v.expanded)
        else:
            divisors = [k for k in range(1, size + 1) if size % k == 0] if size <= 64 else [1, 2, 5, 10, size]
            k = d.pick([k for k in divisors if size % k == 0])
            folded = f"{v.name}.reshape({k}, {size // k})"
            d.add(folded, folded, (k, size // k), v, dense=v.dense, expanded=v.expanded)
        if not v.dense:
            d.freeze(v)
    elif kind == "diagonal":
        if n < 2:
            return
        offset = d.number(-1, 1)
        shape = np.diagonal(np.broadcast_to(np.zeros(()), v.shape), offset).shape
        if not EMPTY and 0 in shape:
            return
        d.add(
            f"np.diagonal({v.name}, {offset})",
            f"torch.diagonal({v.name}, {offset})",
            shape,
            v,
            dense=False,
            expanded=v.expanded,
        )
    elif kind == "squeeze":
        ones = [k for k, m in enumerate(v.shape) if m == 1]
        if not ones:
            return
        k = d.pick(ones)
        d.add(
            f"np.squeeze({v.name}, {k})",
            f"torch.squeeze({v.name}, {k})",
            v.shape[:k] + v.shape[k + 1 :],
            v,
            dense=False,
            expanded=v.expanded,
        )
    elif kind == "unsqueeze":
        if n > 3:
            return
        k = d.number(0, n)
        d.add(
            f"np.expand_dims({v.name}, {k})",
            f"torch.unsqueeze({v.name}, {k})",
            (*v.shape[:k], 1, *v.shape[k:]),
            v,
            dense=False,
            expanded=v.expanded,
        )
    elif kind == "expand":
        shape = (d.number(1, 3), *(m if m != 1 else d.number(1, 3) for m in v.shape))
        if len(shape) > 4 or not d.size_ok(shape):
            return
        d.add(
            f"np.broadcast_to({v.name}, {shape})",
            f"torch.broadcast_to({v.name}, {shape})",
            shape,
            v,
            dense=False,
            expanded=True,
        )
    else:
        k = d.number(0, n - 1)
        d.freeze(v)
        d.add(f"np.flip({v.name}, {k})", f"torch.flip({v.name}, ({k},))", v.shape, v, dense=False)
        d.freeze(v)


def _index(d):
    v = d.variable(lambda v: v.shape and v.shape[0])
    if v is None:
        return
    indices, shape = _indices(d, v.shape)
    d.add(f"{v.name}[{indices}]", f"{v.name}[{indices}]", shape, dense=False)


def _indices(d, shape, unique=False):
    """Text of an advanced key."""
    n = shape[0]
    kind = d.number(0, 3)
    if kind == 0:
        seed = d.seed()
        axes = d.number(1, len(shape))
        mask = np.random.default_rng(seed).random(shape[:axes]) < 0.5
        if not EMPTY and not mask.any():
            return "I([0])", (1, *shape[1:])
        return f"M({seed}, {shape[:axes]})", (int(mask.sum()), *shape[axes:])
    entries = d.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4, unique=unique))
    if kind == 1 or len(shape) == 1:
        return f"I({entries})", (len(entries), *shape[1:])
    if kind == 2 and shape[1]:
        others = [d.number(-shape[1], shape[1] - 1) for _ in entries]
        return f"I({entries}), I({others})", (len(entries), *shape[2:])
    return f":, I({[min(k, shape[1] - 1) for k in entries]})" if shape[1] and not unique else f"I({entries})", (
        (n, len(entries), *shape[2:]) if shape[1] and not unique else (len(entries), *shape[1:])
    )


def _reduce(d):
    v = d.variable()
    name = d.pick(["sum", "mean", "sum", "cumsum", "prod"] + ["amax", "amin"] * (not d.complex))
    if 0 in v.shape and name != "sum":
        return
    if not v.shape or (name in ("sum", "mean") and d.number(0, 2) == 0):
        if name in ("amax", "amin", "cumsum", "prod"):
            return
        d.add(f"{v.name}.{name}()", f"{v.name}.{name}()", ())
        return
    k = d.number(0, len(v.shape) - 1)
    if name == "prod" and v.shape[k] > 8:
        return
    if name == "cumsum":
        d.add(f"np.cumsum({v.name}, axis={k})", f"torch.cumsum({v.name}, {k})", v.shape, dense=False)
        return
    keep = bool(d.number(0, 1))
    shape = v.shape[:k] + ((1,) if keep else ()) + v.shape[k + 1 :]
    if name in ("sum", "mean"):
        text = other = f"{v.name}.{name}(axis={k}, keepdims={keep})"
    else:
        text = f"np.{name}({v.name}, axis={k}, keepdims={keep})"
        other = f"torch.{name}({v.name}, dim={k}, keepdim={keep})"
    if name == "prod":  # PyTorch's rule reads its result, tapegrad's does not: nobody shall write to it
        d.multiplied.add(v.storage)
        text, other = f"{text} * 1.0", f"{other} * 1.0"
    d.add(text, other, shape, dense=False)


def _product(d):
    a = d.variable(lambda v: v.shape)
    if a is None:
        return
    n = a.shape[-1]
    b = d.variable(lambda v: (len(v.shape) == 2 and v.shape[0] == n) or (len(v.shape) == 1 and v.shape[0] == n))
    if b is None or n > 64:
        return
    shape = a.shape[:-1] + b.shape[1:]
    if not d.size_ok(shape):
        return
    d.add(f"{a.name} @ {b.name}", f"{a.name} @ {b.name}", shape, dense=False)


def _combine(d):
    v = d.variable(lambda v: v.shape)
    if v is None or not d.size_ok((2, *v.shape)):
        return
    u = d.variable(lambda u: u.shape == v.shape)
    k = d.number(0, len(v.shape) - 1)
    kind = d.pick(["concatenate", "stack", "tile", "repeat", "roll", "outer"])
    shape = list(v.shape)
    if kind == "stack":
        d.add(
            f"np.stack([{v.name}, {u.name}], {k})",
            f"torch.stack([{v.name}, {u.name}], {k})",
            (*shape[:k], 2, *shape[k:]),
        )
        return
    if kind == "roll":
        d.add(f"np.roll({v.name}, 1, {k})", f"torch.roll({v.name}, 1, {k})", shape, dense=False)
        return
    if kind == "outer":
        if len(shape) != 1 or not d.size_ok(shape * 2):
            return
        d.add(f"np.outer({v.name}, {u.name})", f"torch.outer({v.name}, {u.name})", shape * 2)
        return
    if kind == "tile":
        shape[-1] *= 2
        reps = (1,) * (len(shape) - 1) + (2,)
        d.add(f"np.tile({v.name}, {reps})", f"torch.tile({v.name}, {reps})", shape, dense=False)
        return
    shape[k] *= 2
    if kind == "concatenate":
        d.add(f"np.concatenate([{v.name}, {u.name}], {k})", f"torch.cat([{v.name}, {u.name}], {k})", shape)
    else:
        d.add(f"np.repeat({v.name}, 2, {k})", f"torch.repeat_interleave({v.name}, 2, {k})", shape, dense=False)


def _alias(d):
    v = d.variable()
    kind = d.pick(["detach", "clone", "clone", "item", "constant", "gradient"])
    if kind == "detach":
        if d.static:  # a write there would change the caller's array
            d.freeze(v)
        d.add(f"{v.name}.detach()", f"{v.name}.detach()", v.shape, v, dense=v.dense, expanded=v.expanded)
    elif kind == "clone":
        d.add(f"{v.name}.clone()", f"{v.name}.clone()", v.shape, dense=v.dense)
    elif kind == "constant":
        d.add(f"tg.tensor(C({d.seed()}, {v.shape}))", f"C(0, {v.shape})", v.shape)
        made = d.statements.pop()
        text = made.numpy.partition("tg.tensor(")[2][:-1]
        d.statements.append(Statement(made.numpy, f"{made.made} = {text}", made.made, static=False))
    elif kind == "gradient":
        u = d.source()
        create = bool(d.number(0, 1))
        call = (
            f"gradient({d.real_sum(v)}, {u.name}, retain_graph=True, create_graph={create}, allow_unused=True, "
            f"materialize_grads=True)[0]"
        )
        made = d.add(call, call, u.shape, dense=False, static=False)
        d.freeze(made)  # it may be expanded in PyTorch
    else:
        d.write(f"{v.name}.sum().item()", static=False)


def _inplace(d):
    v = d.target()
    if v is None:
        return
    kind = d.pick(
        "aug aug key key augkey augkey chain chain method fill copy indices repeated where masked data".split()
    )
    if kind == "data" and v.storage in d.multiplied:  # an unseen write leaves PyTorch with the old product: as above
        kind = "fill"
    if d.quiet:
        d.unseen.add(v.storage)
    if v.expanded:  # PyTorch lets fills through, and refuses the rest
        kind = d.pick(["aug", "method"])
    if kind == "aug":
        (a, a2), _, _ = d.operand(v.shape, v)
        sign = d.pick("+-*")
        if d.number(0, 2):
            d.write(f"{v.name} {sign}= {a}", f"{v.name} {sign}= {a2}")
        else:
            method = {"+": "add_", "-": "sub_", "*": "mul_"}[sign]
            d.write(f"{v.name}.{method}({a})", f"{v.name}.{method}({a2})")
    elif kind == "key":
        key, positive, flips = _key(d, v.shape, negative=True, newaxis=False)
        shape = _shape_of(v.shape, key)
        (a, a2), shape_a, _ = d.operand(shape, v)
        if a == v.name:
            a2 = f"{v.name}.clone()"
        d.write(f"{v.name}[{key}] = {a}", f"{v.name}[{positive}] = {_flipped(a2, shape_a, shape, flips, d)}")
    elif kind == "augkey":
        key, positive, flips = _key(d, v.shape, negative=True, newaxis=False)
        shape = _shape_of(v.shape, key)
        (a, a2), shape_a, _ = d.operand(shape, v)
        if a == v.name:
            a2 = f"{v.name}.clone()"
        sign = d.pick("+-*")
        other = _flipped(a2, shape_a, shape, flips, d)
        if shape == v.shape:  # PyTorch takes v[:] = for v itself; why grad_fn is asked for: see `run_torch`
            other = f"t = {v.name}[{positive}]; t {sign}= {other}; {v.name}.grad_fn; {v.name}[{positive}] = t"
        else:
            other = f"{v.name}[{positive}] {sign}= {other}"
        d.write(f"{v.name}[{key}] {sign}= {a}", other)
    elif kind == "method":
        call = d.pick(["neg_()", "sin_()", "cos_()", "tanh_()", "square_()", "div_(2.5)", "pow_(2)"])
        d.write(f"{v.name}.{call}")
    elif kind == "fill":
        d.write(f"{v.name}.fill_(1.5)" if d.number(0, 1) else f"{v.name}.zero_()")
    elif kind == "copy":
        (a, a2), shape_a, _ = d.operand(v.shape, v)
        if a[0] in "xC":
            d.write(f"{v.name}.copy_({a})", f"{v.name}.copy_({a2})")
    elif kind == "chain":
        _write_chained(d, v)
    elif kind == "masked":
        a = d.pick(["0.5", f"C({d.seed()}, {v.shape})"])
        mask = f"M({d.seed()}, {v.shape})"
        where = d.pick(["v.copy_({}.where({}, {}, v))", "v[...] = {}.where({}, {}, v)"]).replace("v", v.name)
        d.write(where.format("np", mask, a), where.format("torch", mask, a))
    elif kind == "data":
        d.unseen.add(v.storage)
        d.write(f"{v.name}.data.mul_(0.5)" if d.number(0, 1) else f"{v.name}.detach().add_(0.25)", static=False)
    elif kind == "where":
        action = d.pick(["= 0.75", "*= 1.5", "+= 0.5"])
        part = f"real({v.name})" if d.complex else v.name
        d.write(f"{v.name}[{part} > 0.25] {action}", static=False)
    elif kind == "repeated" and v.shape and v.shape[0]:
        _write_repeatedly(d, v)
    elif v.shape and v.shape[0]:
        indices, shape = _indices(d, v.shape, unique=True)
        (a, a2), _, _ = d.operand(shape, v)
        sign = d.pick(["", "+", "*"])
        if sign:  # what is selected is a copy: PyTorch, too, takes the operand as it is
            a2 = a2.removesuffix(".clone()")
        elif ".to(" in a2:
            a2 = f"({a2}).to({v.name}.dtype)"  # where PyTorch wants the same dtype
        elif a == v.name:
            a2 = f"{v.name}.clone()"
        d.write(f"{v.name}[{indices}] {sign}= {a}", f"{v.name}[{indices}] {sign}= {a2}")


def _write_chained(d, v):
    """A write through a view of a view."""
    key, _, _ = _key(d, v.shape, negative=False, newaxis=False)
    shape = list(_shape_of(v.shape, key))
    text = f"{v.name}[{key}]"
    other = text
    if shape and d.number(0, 1):
        k = d.number(0, len(shape) - 1)
        text, other = f"np.swapaxes({text}, 0, {k})", f"torch.swapaxes({text}, 0, {k})"
        shape[0], shape[k] = shape[k], shape[0]
    last, _, _ = _key(d, shape, negative=False)
    shape = _shape_of(shape, last)
    (a, a2), _, _ = d.operand(shape, v)
    if a == v.name:
        a2 = f"{v.name}.clone()"
    if d.number(0, 2) == 0:
        call = d.pick(["neg_()", "square_()", "zero_()", "mul_(-0.5)", f"add_(C({d.seed()}, {shape}))"])
        d.write(f"{text}[{last}].{call}", f"{other}[{last}].{call}")
    else:
        sign = d.pick(["", "+", "-", "*"])
        d.write(f"{text}[{last}] {sign}= {a}", f"{other}[{last}] {sign}= {a2}")


def _write_repeatedly(d, v):
    """A write by an array of indices, the same ones several times: the last value stays, with its gradient.

    PyTorch leaves open which one stays, and gives all of them the gradient: there, only the last is written.
    """
    n = v.shape[0]
    entries = d.draw(st.lists(st.integers(-n, n - 1), min_size=1, max_size=5))
    shape = (len(entries), *v.shape[1:])
    last = {k % n: place for place, k in enumerate(entries)}
    places, picked = f"I({list(last)})", f"I({list(last.values())})"
    (a, a2), _, _ = d.operand(shape, v)
    sign = d.pick(["", "+", "*"])
    if sign:
        made = f"v[I({entries})] {sign} {a2.removesuffix('.clone()')}"
    elif a[0] in "xCr":
        made = f"torch.broadcast_to({a2}, {shape})"
    else:
        made = f"torch.full({shape}, {a}, dtype=v.dtype)"
    other = f"t = {made}; v[{places}] = t[{picked}].to(v.dtype)".replace("v", v.name)
    d.write(f"{v.name}[I({entries})] {sign}= {a}", other)


def _flipped(text, own, shape, flips, d):
    """The operand for the same write without negative steps."""
    if not flips or not own:
        return text
    lead = len(shape) - len(own)
    axes = tuple(k - lead for k in flips if k >= lead)
    return f"torch.flip({text}, {axes})" if axes else text


def _backward(d):
    v = d.variable()
    retain = bool(d.number(0, 1))
    kind = d.number(0, 7)
    if kind == 0:
        d.write(f"{v.name}.backward()", static=False)
    elif kind == 1:
        d.write(f"{v.name}.backward(C({d.seed()}, {v.shape}), retain_graph={retain})", static=False)
    elif kind == 2:
        d.write(f"{d.real_sum(v)}.backward(retain_graph={retain}, inputs=[{d.source().name}])", static=False)
    elif kind == 3:
        d.write(f"{v.name}.grad = None", static=False)
    elif kind == 4:
        d.write(f"{d.real_sum(v)}.backward(create_graph=True)", static=False)
    else:
        d.write(f"{d.real_sum(v)}.backward(retain_graph={retain})", static=False)


def _retain(d):
    d.write(f"{d.variable().name}.retain_grad()", static=False)


def _convert(d):
    """Through another dtype and back."""
    v = d.variable()
    if d.complex:
        text = other = f"real({v.name}) * 1.5j"
        if d.number(0, 1):
            text, other = f"np.abs({v.name}) * 1j", f"torch.abs({v.name}) * 1j"
    elif d.number(0, 1):
        text, other = f"np.abs({v.name} + 2j)", f"torch.abs({v.name} + 2j)"
    else:
        kind = "float64" if d.dtype == "float32" else "float32"
        text = f"{v.name}.astype('{kind}').astype('{d.dtype}')"
        other = f"{v.name}.to(torch.{kind}).to(torch.{d.dtype})"
    d.add(text, other, v.shape, dense=False)


def _no_grad(d):
    before = len(d.statements)
    for _ in range(d.number(1, 2)):
        d.quiet = True
        d.pick([_binary, _inplace, _inplace])(d)  # a view made here is a case of its own: see test_inplace.py
        d.quiet = False
    block = d.statements[before:]
    if not block:
        return
    del d.statements[before:]
    static = all(s.static for s in block)
    numpy, torch = (
        "with no_grad():\n" + "\n".join("    " + getattr(s, library) for s in block) for library in ("numpy", "torch")
    )
    d.statements.append(Statement(numpy, torch, None, static))


_KINDS = (
    [_binary] * 4
    + [_unary] * 3
    + [_view] * 6
    + [_index, _reduce, _product, _combine, _convert]
    + [_alias] * 2
    + [_inplace] * 9
)
_KINDS_DYNAMIC = [*_KINDS, _backward, _backward, _no_grad, _retain]


@st.composite
def programs(draw, max_statements=12, static=False):
    """A strategy for programs; `static` ones can be compiled."""
    size = draw(st.integers(0, 15))
    # `value_and_grad`, and so a compiled program, takes no complex arguments
    dtype = draw(st.sampled_from(["float64"] * 7 + ["float32"] + ["complex128"] * (not static)))
    d = _Draft(draw, static, dtype, {15: 50_000, 14: 20_000, 13: 20_000}.get(size, 64))
    if size == 15:  # on either side of what is deferred
        pool = [(17000,), (130, 130), (1, 130), (130,), (2, 130, 65), ()]
    elif size >= 13:
        pool = [(2500,), (50, 50), (1, 50), (50,), ()]
    else:
        a, b, c = (draw(st.integers(1, 4)) for _ in range(3))
        pool = [(b, c), (c,), (a, b, c), (b, 1), (c, c), (1, c), ()] + [(b, 0)] * EMPTY
    leaves = []
    for k in range(d.number(1, 3)):
        shape = d.pick(pool)
        leaf = Leaf(d.fresh(), shape, k == 0 or d.number(0, 3) > 0, d.seed())
        leaves.append(leaf)
        if leaf.requires_grad:
            d.tracked.add(k)
        d.variables.append(_Variable(leaf.name, shape, k, True, leaf=True))
    kinds = _KINDS if static else _KINDS_DYNAMIC
    first = [_unary, _view, _inplace] * bool(d.number(0, 2))  # most programs write to, or through, a view
    wanted = d.number(1, max_statements)
    for _ in range(3 * max_statements):
        if len(d.statements) >= wanted:
            break
        before = len(d.statements)
        (first.pop(0) if first else d.pick(kinds))(d)
        if static and any(not s.static for s in d.statements[before:]):
            made = {s.made for s in d.statements[before:]}
            d.variables = [v for v in d.variables if v.name not in made]
            del d.statements[before:]
    terms = []
    for _ in range(d.number(1, 3)):
        v = d.variable()
        terms.append((v.name, d.seed(), v.shape))
    loose = frozenset(v.name for v in d.variables if v.storage in d.frozen)
    return Program(
        dtype,
        tuple(leaves),
        tuple(d.statements),
        tuple(terms),
        loose,
    )


# --- running ---------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What a program came to: an error or None a statement, and the final state."""

    errors: list
    messages: list
    values: dict
    gradients: dict
    flags: dict
    versions: dict


def kind_of(error):
    """Words that classify an error, or its type."""
    text = str(error)
    return next((words for words in ERRORS if words in text), type(error).__name__)


def _execute(program, library, names, read, settle=lambda: None):
    errors, messages = [], []
    texts = [getattr(s, library) for s in program.statements]
    texts += [f"loss = {program.loss_text()}", "loss.backward()"]
    first = {}  # versions at birth: PyTorch's own matmul writes in place
    for k, text in enumerate(texts):
        settle()
        try:
            exec(text, names)
            if k < len(program.statements) and program.statements[k].made in names:
                first[program.statements[k].made] = names[program.statements[k].made]._version
        except Exception as error:
            errors.append(kind_of(error))
            messages.append(f"{text}: {type(error).__name__}: {error}")
        else:
            errors.append(None)
    variables = [leaf.name for leaf in program.leaves] + [s.made for s in program.statements if s.made]
    variables += [n for s in program.statements if s.numpy.startswith("with") for n in _assigned(s.numpy)]
    found = {name: names[name] for name in [*variables, "loss"] if name in names}
    gradients = {n: x.grad for n, x in found.items()}
    return Outcome(
        errors,
        messages,
        {n: read(x) for n, x in found.items()},
        {n: None if g is None else read(g) for n, g in gradients.items()},
        {n: (x.requires_grad, x.is_leaf, x.retains_grad) for n, x in found.items()},
        {n: x._version - first.get(n, 0) for n, x in found.items() if n not in program.loose},
    )


def _assigned(block):
    for line in block.splitlines()[1:]:
        name, sep, _ = line.strip().partition(" = ")
        if sep and name.isidentifier():
            yield name


@contextlib.contextmanager
def deferral(enabled):
    """Deferral on or off within a block."""
    before = tg.set_deferral(enabled)
    try:
        yield
    finally:
        tg.set_deferral(before)


def run_tapegrad(program, deferred=True, shift=0):
    """Run eagerly in tapegrad."""
    rotate(local.state)  # what other programs left on the tape, such as memory that escaped, must not matter
    with deferral(deferred):
        names = {
            "np": np,
            "tg": tg,
            "C": lambda seed, shape: values(seed, shape, program.dtype),
            "M": lambda seed, shape: np.random.default_rng(seed).random(shape) < 0.5,
            "I": np.array,
            "real": np.real,
            "no_grad": tg.no_grad,
            "gradient": tg.autograd.grad,
        }
        for leaf in program.leaves:
            names[leaf.name] = tg.tensor(leaf.value(program.dtype, shift), requires_grad=leaf.requires_grad)
        return _execute(program, "numpy", names, lambda x: np.array(x.detach().numpy()))


def run_torch(program):
    """Run in PyTorch."""
    names = {
        "np": np,
        "torch": torch,
        "C": lambda seed, shape: torch.tensor(values(seed, shape, program.dtype)),
        "M": lambda seed, shape: torch.tensor(np.random.default_rng(seed).random(shape) < 0.5),
        "I": torch.tensor,
        "real": torch.real,
        "no_grad": torch.no_grad,
        "gradient": torch.autograd.grad,
    }
    for leaf in program.leaves:
        names[leaf.name] = torch.tensor(leaf.value(program.dtype)).requires_grad_(leaf.requires_grad)

    def settle():
        # A view's history is made anew when somebody asks for it. A write does not ask: it takes a view whose base has
        # begun to require grad, and at which nobody has looked since, for a leaf, and refuses. Looking moves what the
        # view retains; one that retains is not taken for a leaf.
        for x in names.values():
            if isinstance(x, torch.Tensor) and x._base is not None and not x.retains_grad:
                with contextlib.suppress(RuntimeError):
                    _ = x.grad_fn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layouts and deprecations
        return _execute(program, "torch", names, lambda x: np.array(x.numpy(force=True)), settle)  # zeros may be lazy


def as_function(program):
    """The program as a NumPy function of its leaves, and the numbers of those to differentiate."""
    names = {
        "np": np,
        "tg": tg,
        "C": lambda seed, shape: values(seed, shape, program.dtype),
        "M": lambda seed, shape: np.random.default_rng(seed).random(shape) < 0.5,
        "I": np.array,
        "real": np.real,
        "no_grad": tg.no_grad,
    }
    exec(program.function_source(), names)
    return names["f"], tuple(k for k, leaf in enumerate(program.leaves) if leaf.requires_grad)
