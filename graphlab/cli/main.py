"""The command line: ``graphlab COMMAND ...``. Exit codes: 0 clean, 1 findings or differences, 2 could not do it.

Light on purpose: ``graphlab --help`` imports no command, and a command imports only what it needs.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from graphlab.errors import GraphlabError

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from collections.abc import Sequence

# command -> one line of help. Each is a module here with add_arguments(parser) and run(args) -> exit code.
COMMANDS = {
    "inspect": "show what was captured from a model or graph file, and what becomes of it",
    "load": "read a graph file and say what it holds; save it as .graphlab",
    "compile": "compile a model or graph file for one target or several, side by side",
    "targets": "list the compilers, what they compile for, and how to install what is missing",
    "diff": "show what changed between two models or graph files",
    "equal": "say whether two models or graph files are the same but for names, order and metadata",
    "explain": "explain a finding by its code",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; errors of graphlab's own become one message on stderr."""
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()  # here, not when the interpreter exits: there it would end in a complaint and another code
    except BrokenPipeError:  # the reader of our output has gone (`graphlab ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or bool(os.environ.get("GRAPHLAB_DEBUG"))
    args = _parse([word for word in words if word != "--debug"])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow greets with a page about CPU features
    if args.command in ("inspect", "diff", "compile") and _cuda_plugin_without_gpu():
        os.environ.setdefault("JAX_PLATFORMS", "cpu")  # else JAX prints a traceback about the GPU it does not find
    try:
        return int(import_module(f"graphlab.cli.{args.command}").run(args))
    except GraphlabError as error:
        if debug:
            raise
        print(f"graphlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:  # the last line of defence: a defect of graphlab's own, said as such
        if debug:
            raise
        print(
            f"graphlab: internal error, a defect of graphlab itself: {type(error).__name__}: {error}\n"
            "  run it again with --debug and report what it prints",
            file=sys.stderr,
        )
        return 2


def _cuda_plugin_without_gpu() -> bool:
    """Whether JAX's CUDA plugin is installed, to compile for a GPU that is not here, and there is no other device either."""
    from importlib.util import find_spec

    if any(map(os.path.exists, ("/dev/nvidiactl", "/dev/accel0", "/dev/vfio/0"))) or find_spec("jax_plugins") is None:
        return False
    return find_spec("jax_plugins.xla_cuda12") is not None


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="graphlab",
        description="See what a framework captured from a model, what each compiler made of it, and what changed between two graphs.",
        epilog="Exit codes: 0 clean, 1 findings or differences (where asked to gate), 2 could not do it. "
        "'graphlab COMMAND --help' has each command's options; --debug shows tracebacks.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in words if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            import_module(f"graphlab.cli.{name}").add_arguments(command)
    return parser.parse_args(words)


def _version() -> str:
    from graphlab import __version__

    return f"graphlab {__version__}"


if __name__ == "__main__":
    sys.exit(main())
