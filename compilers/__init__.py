"""Compilers: from a Program's native artifact to stages, metrics and artifacts. They run in a child process.

Each module here is one compiler: ``takes(program)``, ``targets()`` and
``compile(program, *, target, options=Options()) -> Compiled``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if __name__ != "graphlab.compilers":
    raise ImportError("import it as graphlab.compilers: the folder is a part of that package")

if TYPE_CHECKING:  # a worker in a child process imports this package, and needs no networkx
    from types import ModuleType

    from graphlab.compilers.results import Compiled
    from graphlab.ir.program import Program


def compile(program: Program, *, compiler: str | None = None, target: str = "cpu", **options: Any) -> Compiled:
    """Compile a captured program and report what the compiler made of it.

    Args:
        compiler: ``xla``, ``torchscript``, ``grappler``; without it the first that takes the program and has the target.
        target: what to compile for: ``cpu``, and with XLA ``tpu:v5e``, ``tpu:v5e:2x4``, ``cuda:h100``, ``cuda:h100:8`` …,
            whether or not this machine has one; ``graphlab targets`` lists them.
        options: fields of that compiler's ``Options``.

    Raises:
        CompileError: no compiler takes the program, or the compiler refused it, crashed or hit a limit.
        MissingExtra: the compiler is not installed.
    """
    _, module = compiler_for(program, target=target, compiler=compiler)
    result: Compiled = module.compile(program, target=target, options=module.Options(**options))
    return result


def compiler_for(program: Program, *, target: str = "cpu", compiler: str | None = None) -> tuple[str, ModuleType]:
    """The compiler that is asked, by name or as the first that takes the program for such a target.

    Raises:
        CompileError: there is none.
        RegistryError: there is none of that name.
    """
    from graphlab import registry
    from graphlab.errors import CompileError

    if compiler is not None:
        chosen = registry.get("compilers", compiler)
        if not chosen.takes(program):
            raise CompileError(
                f"compile {_told(program)} with {compiler}", found=f"{compiler} does not take it", do=_do(program), reason="failed"
            )
        _check_target(compiler, chosen, target)
        return compiler, chosen
    taking = []
    for name in registry.table("compilers"):
        module = registry.get("compilers", name)
        if not module.takes(program):
            continue
        taking.append(name)
        if target.partition(":")[0] in {known.partition(":")[0] for known in module.targets()}:
            _check_target(name, module, target)
            return name, module
    if taking:
        near = [known for name in taking for known in registry.get("compilers", name).targets() if known.endswith(f":{target}")]
        raise CompileError(
            f"compile {_told(program)} for {target}",
            found=f"{', '.join(taking)} takes it, and has no such target",
            do=f"did you mean {' or '.join(near)}?" if near else "'graphlab targets' lists which compiler has which",
            reason="failed",
        )
    raise CompileError(
        f"compile {_told(program)}", found=f"none of {', '.join(registry.table('compilers'))} takes it", do=_do(program), reason="failed"
    )


def _check_target(name: str, module: ModuleType, target: str) -> None:
    """Raises CompileError where the compiler has no such target. One with kinds and sizes (``tpu:v5e:2x4``) knows better itself."""
    from graphlab.errors import CompileError

    if target in module.targets():
        return
    if hasattr(module, "check_target"):
        module.check_target(target)
        return
    raise CompileError(
        f"compile for '{target}'", found=f"{name} has the targets {', '.join(module.targets())}", do="choose one of them", reason="failed"
    )


def _told(program: Program) -> str:
    source = program.source
    return f"a program read from a {source.format} file" if source.method == "read" else f"a program captured by {source.method}"


def _do(program: Program) -> str:
    if program.source.method != "read":
        return "choose another method of capture"
    if program.native is None and len(program.signatures) > 1:
        return f"it may be that it holds several programs: select one, {program.source.path or 'FILE'}@{next(iter(program.signatures))}"
    live = "capture the live model: a file of this kind holds nothing that a compiler here takes"
    return f"read it with --trust (trust=True), which lets PyTorch read it, or {live}" if program.source.framework == "torch" else live
