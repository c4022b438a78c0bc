"""Analyzers: pure functions of Programs (and compile results) that return typed results with findings.

Each module here is one analyzer: a frozen dataclass ``Options``, and
``analyze(program, options=Options()) -> Result`` where the result has ``findings``.
"""

from __future__ import annotations

from typing import Any

if __name__ != "graphlab.analyzers":
    raise ImportError("import it as graphlab.analyzers: the folder is a part of that package")

from graphlab import registry
from graphlab.compilers.results import Compiled
from graphlab.ir.program import Program


def analyze(program: Program | Compiled, name: str, **options: Any) -> Any:
    """Run one analyzer by name: ``analyze(program, "control_flow")``.

    Args:
        program: what to analyze; for ``compile_results`` a compile's result: ``analyze(graphlab.compile(program), "compile_results")``.
        options: fields of that analyzer's ``Options``.

    Returns:
        The analyzer's typed result; ``.findings`` is a tuple of findings.

    Raises:
        RegistryError: there is no analyzer of that name.
        TypeError: it has no such option.
    """
    module = registry.get("analyzers", name)
    return module.analyze(program, module.Options(**options))
