"""DOT as SVG, by whatever ``dot`` there is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig

from graphlab.errors import GraphlabError, missing_extra


def render_svg(dot: str, *, timeout: float = 60.0) -> bytes:
    """DOT text as SVG, drawn by a ``dot`` on the path, else by the one that ``graphlab[dot]`` installs.

    Args:
        timeout: seconds after which the drawing is given up.

    Raises:
        MissingExtra: there is neither.
        GraphlabError: it takes too long, or ``dot`` refuses the text.
    """
    command = _dot_command()
    try:
        done = subprocess.run([command, "-Tsvg"], input=dot.encode(), capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise GraphlabError(
            "draw the graph", found=f"dot did not finish within {timeout:g} seconds", do="draw fewer nodes (--max-nodes, max_nodes=)"
        ) from None
    if done.returncode or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise GraphlabError(
            "draw the graph", found=f"{command}: {said[0]}", do="draw fewer nodes (--max-nodes, max_nodes=), or try another Graphviz"
        )
    return done.stdout


def _dot_command() -> str:
    # A virtual environment need not be activated: its scripts folder may not be on the path.
    scripts = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
    command = shutil.which("dot") or shutil.which("graphviz-pure", path=scripts)
    if command is None:
        raise missing_extra("draw the graph", "Graphviz", "dot")
    return command
