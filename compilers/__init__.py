"""Compilers: from a Program's native artifact to stages, metrics and artifacts. They run in a child process.

Each module here is one compiler: ``takes(program)``, ``targets()`` and
``compile(program, *, target, options=Options()) -> Compiled``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if __name__ != "graphlab.compilers":
    raise ImportError("import it as graphlab.compilers: the folder is a part of that package")

if TYPE_CHECKING:  # a worker in a child process imports this package, and needs no networkx
    from graphlab.compilers.results import Compiled
    from graphlab.ir.program import Program


def compile(program: Program, *, compiler: str | None = None, target: str = "cpu", **options: Any) -> Compiled:
    """Compile a captured program and report what the compiler made of it.

    Args:
        compiler: ``xla``, ``torchscript``, ``grappler``; the first that takes the program without it.
        target: what to compile for.
        options: fields of that compiler's ``Options``.

    Raises:
        CompileError: no compiler takes the program, or the compiler refused it, crashed or hit a limit.
        MissingExtra: the compiler is not installed.
    """
    from graphlab import registry
    from graphlab.errors import CompileError

    names = registry.table("compilers") if compiler is None else (compiler,)
    for name in names:
        module = registry.get("compilers", name)
        if compiler is not None or module.takes(program):
            result: Compiled = module.compile(program, target=target, options=module.Options(**options))
            return result
    raise CompileError(
        f"compile a program captured by {program.source.method}",
        found=f"none of {', '.join(names)} takes it",
        do="capture the live model (a file keeps no native artifact), or choose another method of capture",
    )
