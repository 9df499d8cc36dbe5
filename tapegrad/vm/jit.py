"""From Python functions to object code, with Numba; imported only when something has to be compiled.

Numba translates each function to LLVM's intermediate code once.  Functions that are compiled together are then joined
in one module, and it is that which is optimised, once; Numba's own dispatchers optimise a function again inside each
of its callers, and wrap every one for Python.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import compiler
from numba.core.codegen import CodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.registry import cpu_target
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode
from numba.extending import intrinsic as _intrinsic

from .native import target_machine
from .resolving import Remembering

__all__ = ["Function", "compile_object", "intrinsic", "jit"]

POINTERS = {
    types.CPointer(types.int64): (
        "words addr table plans consts state heads frame args dims steps packed sizes grades places shift "
        "traits answered question"
    ),
    types.CPointer(types.int32): (
        "root last_write starts code templates origins slots last_read ends free chain pieces temps same met bars "
        "placed choices"
    ),
    types.CPointer(types.uint8): (
        "bar kept wanted freed live leaves read written constant numbered results leads targets decides"
    ),
    types.voidptr: "data",
}
"""A parameter's name tells its type: those listed here are pointers, all others int64.

``args``, ``dims``, ``steps`` and ``data`` are the parameters of NumPy's inner loops, void(char **args,
npy_intp *dims, npy_intp *steps, void *data), with the pointers in args as int64.
"""

NEEDS_PYTHON = ("Py", "_Py", "NRT_", "numba_", "_ZN")
"""How the names of functions begin that a compiled function must not call: Python's and those of Numba's runtime."""

intrinsic: Any = _intrinsic
"""`numba.extending.intrinsic`, whose type hints would count the typing context among a call's arguments."""

_TYPES = {name: kind for kind, names in POINTERS.items() for name in names.split()}


class _Compiler(compiler.CompilerBase):
    """Numba's front end without what arrays, closures and Python objects need: in half the time."""

    def define_pipelines(self):
        passes = PassManager("numbers")
        for kind in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            ReconstructSSA,
            NopythonTypeInference,
            PreLowerStripPhis,
            IRLegalization,
            AnnotateTypes,
            NativeLowering,
            NoPythonBackend,
        ):
            passes.add_pass(kind, kind.__name__)
        passes.finalize()
        return [passes]


class _Library(CodeLibrary):
    """Collects intermediate code, which Numba's own libraries would optimise at once."""

    def __init__(self, codegen, name):
        super().__init__(codegen, name)
        self.modules: list[str] = []

    def add_ir_module(self, ir_module):
        self.modules.insert(0, str(ir_module))

    def add_linking_library(self, library):  # Numba's own definitions of `min` and the like
        # Behind what refers to it, or the linker would drop it.
        self.modules.append(str(library._get_module_for_linking()))

    def finalize(self):
        pass

    def get_function(self, name):
        raise NotImplementedError

    get_llvm_str = get_asm_str = finalize


@functools.cache
def _typing() -> Remembering:
    return Remembering(cpu_target.typing_context)


class Function:
    """A Python function in the nopython subset, translated to intermediate code when that is asked for.

    Nothing in it may raise: what would be an exception ends the function, and its result is undefined.

    Parameters
    ----------
    function : callable
        Its parameters are named as `POINTERS` says; the type of its result is inferred.
    """

    _caller: Function | None = None  # the function that is being translated

    def __init__(self, function: Callable):
        self.function = function
        self._callees: dict[Function, None] = {}  # an ordered set
        self._result: Any = None

    def translate(self) -> Any:
        """The numba.core.compiler.CompileResult; its library holds the intermediate code."""
        if self._result is None:
            code = self.function.__code__
            arguments = tuple(_TYPES.get(name, types.int64) for name in code.co_varnames[: code.co_argcount])
            flags = compiler.Flags()
            flags.error_model = "numpy"  # or `a / b` raises instead of vectorising
            flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
            context, caller, Function._caller = cpu_target.target_context, Function._caller, self
            library = _Library(context.codegen(), self.function.__qualname__)
            try:
                self._result = compiler.compile_extra(
                    _typing(), context, self.function, arguments, None, flags, {}, library, _Compiler
                )
            finally:
                Function._caller = caller
        return self._result

    @property
    def symbol(self) -> str:
        """Name of the C function."""
        return f"c.{self.translate().fndesc.llvm_func_name}"

    def declare(self, module: Any) -> Any:
        """The C function, declared in an LLVM module."""
        if self.symbol in module.globals:
            return module.globals[self.symbol]
        result = self.translate()
        value_type, signature = result.target_context.get_value_type, result.signature
        returned = ir.VoidType() if signature.return_type == types.none else value_type(signature.return_type)
        c_type = ir.FunctionType(returned, [value_type(kind) for kind in signature.args])
        return ir.Function(module, c_type, self.symbol)

    def callable_from_compiled_code(self) -> Any:
        """An intrinsic of Numba: a call of the C function."""

        def call(typingctx, *arguments):
            def codegen(context, builder, signature, values):
                if Function._caller is not None:
                    Function._caller._callees[self] = None
                value = builder.call(self.declare(builder.module), values)
                return context.get_dummy_value() if signature.return_type == types.none else value

            return self.translate().signature, codegen

        call.__name__ = self.function.__name__
        parameters = [inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        parameters += inspect.signature(self.function).parameters.values()
        call.__signature__ = inspect.Signature(parameters)
        caller = intrinsic(call)
        caller.compiled = self
        return caller

    def modules(self) -> Iterator[str]:
        """Intermediate code: the C function, and what it wraps, the function as Numba calls it."""
        result = self.translate()
        context, described = result.target_context, result.fndesc
        module = context.create_module(self.symbol)
        function = self.declare(module)
        builder = ir.IRBuilder(function.append_basic_block())
        inner = context.declare_function(module, described)
        _, value = context.call_conv.call_function(builder, inner, described.restype, described.argtypes, function.args)
        if described.restype == types.none:
            builder.ret_void()
        else:
            builder.ret(value)
        yield str(module)
        yield from result.library.modules

    def reached(self) -> dict[Function, None]:
        """The function itself and all that it calls."""
        self.translate()
        found = {self: None}
        for callee in self._callees:
            found |= callee.reached()
        return found


def jit(function: Callable) -> Any:
    """Make a function one that other compiled functions can call; see `Function`."""
    return Function(function).callable_from_compiled_code()


@global_compiler_lock
def compile_object(names: tuple[str, ...], arguments: tuple) -> tuple[list[str], list[str], bytes]:
    """Compile functions, or what makers return, to one piece of object code.

    Parameters
    ----------
    names, arguments
        As of `tapegrad.vm.native.addresses`.

    Returns
    -------
    exported, imported : list of str
        Names of the functions asked for, in their order, and of those that the code calls.
    code : bytes
        In the processor's own format, for LLVM's loader.

    Raises
    ------
    RuntimeError
        If the code needs Python or Numba when it runs.
    """
    functions = [_find(name, arguments) for name in names]
    joined = llvm.parse_assembly("")
    reached = dict.fromkeys(callee for function in functions for callee in function.reached())
    for text in dict.fromkeys(text for function in reached for text in function.modules()):
        joined.link_in(llvm.parse_assembly(text))
    exported = [function.symbol for function in functions]
    for value in (*joined.functions, *joined.global_variables):
        if not value.is_declaration and value.name not in exported:
            value.linkage = "internal"
    for function in reached:
        joined.get_function(function.translate().fndesc.llvm_func_name).add_function_attribute("alwaysinline")
    machine = target_machine()
    _optimise(joined, machine, vectorise=bool(arguments))  # what has no makers branches over single numbers
    imported = [f.name for f in joined.functions if f.is_declaration and not f.name.startswith("llvm.")]
    if any(name.startswith(NEEDS_PYTHON) for name in imported):
        raise RuntimeError(f"{names} must run without Python, but calls {imported}")
    return exported, imported, machine.emit_object(joined)


def _find(name: str, arguments: tuple) -> Function:
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
    if arguments:
        found = found(*arguments)
    return found.compiled if hasattr(found, "compiled") else Function(found)


def _optimise(module: Any, machine: Any, vectorise: bool) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = vectorise
    options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
