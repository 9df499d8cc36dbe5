"""LLVM's assembly as machine code in memory."""

from __future__ import annotations

from typing import Any

from .native import target_machine

__all__ = ["Machine"]

LONG = 200_000
"""Characters of assembly beyond which LLVM takes less trouble: straight code has little to gain, and takes long."""


class Machine:
    """Functions in memory, as long as this object lives."""

    def __init__(self, assembly: str, functions: list[str]):
        import llvmlite.binding as llvm

        module = llvm.parse_assembly(assembly)
        module.verify()
        machine = target_machine(opt=1 if len(assembly) > LONG else 2)
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        builder = llvm.create_pass_builder(machine, options)
        passes = llvm.create_new_module_pass_manager()
        _add(passes)
        passes.run(module, builder)
        self._engine: Any = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self.addresses = [self._engine.get_function_address(name) for name in functions]


def _add(passes: Any) -> None:
    """Registers for what stands on the stack, and what follows from that."""
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_loop_rotate_pass()
    passes.add_instruction_combine_pass()
