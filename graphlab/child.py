"""Runs a worker module of ours in a child process, so that the crash, flags and memory of a compiler or a native parser are not ours.

The parent calls :func:`run`; the worker module ends in ``child.serve(handle)``. Both sides share one
folder, which is the worker's working directory: ``request.json``, ``result.json``, ``step.txt`` (what
it is at), ``log.txt`` (all it and the compiler printed), and whatever files the two agree on.

Limits. Time is wall time. Memory is the resident memory of all processes of the child's session, read
from /proc every 50 ms: ``RLIMIT_AS`` counts address space, of which XLA, LLVM and CUDA reserve many times
what they use, and ``RLIMIT_RSS`` is ignored by Linux. So a fast eater may pass its limit for a moment;
the worker also asks the kernel to take it first if the machine runs out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from graphlab.errors import CompileError, GraphlabError

POLL_SECONDS = 0.05
LOG_LINES = 12
"""Lines of the log that an error message quotes: from the fatal one on where there is one, else the last ones."""
_FATAL = re.compile(r"F\d{4} |.*Check failed|LLVM ERROR|terminate called|Fatal Python error")
_STACK = re.compile(r"\s*(@|#\d+)\s+0x[0-9a-f]+")
"""Frames of a native stack: in the log, not in the message."""

# The package's parent folder goes last: what stands beside graphlab in a checkout must not shadow an installed module.
_BOOT = """
import runpy, sys
sys.path.extend(sys.argv.pop(1).split("\\n"))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


class Refused(Exception):
    """Raised in a worker: the compiler will not take the program. The message is the compiler's own."""


class Folder:
    """A temporary folder that is removed when nobody holds this object: the loaders of a compile's stages do."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="graphlab-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker answered.

    Attributes:
        result: the mapping its handler returned, through JSON.
        log: everything printed.
        seconds: wall time of the whole child, start and imports included.
        peak_bytes: largest resident memory seen (0 where the system has no /proc).
    """

    result: Mapping[str, Any]
    log: str
    seconds: float
    peak_bytes: int


def available_memory() -> int:
    """80 % of the memory the machine has free now, in bytes: the default limit of a child."""
    try:
        text = Path("/proc/meminfo").read_text()
    except FileNotFoundError:
        return int(0.8 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    free = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("MemAvailable:"))
    return int(0.8 * free * 1024)


def run(
    worker: str,
    request: Mapping[str, Any],
    *,
    folder: Path,
    asked: str,
    time_limit: float = 600.0,
    memory_limit: int | None = None,
    env: Mapping[str, str] | None = None,
    paths: Sequence[Path] = (),
    progress: Callable[[], str] | None = None,
) -> Outcome:
    """Run ``python -m worker`` on a request and wait for its answer.

    The user's working directory and the script's folder are not on the child's module path, so a
    ``types.py`` or ``jax.py`` lying there shadows nothing. Its whole process group is killed at the end.

    Args:
        worker: module name: ``graphlab.compilers.xla_worker``.
        request: what JSON can hold. Files go into ``folder``, under names the request carries.
        folder: an empty folder of the caller's, which outlives the child.
        asked: the task as a verb phrase, for the error: ``compile f with XLA for cpu``.
        time_limit: seconds.
        memory_limit: bytes; ``None`` for :func:`available_memory`.
        env: variables to set on top of the parent's.
        paths: more folders to import from, after all others.
        progress: says how far the compiler got, where its files tell; asked only after a failure.

    Raises:
        CompileError: the compiler refused the program, crashed, or hit a limit. ``reason`` says which.
    """
    limit = available_memory() if memory_limit is None else memory_limit
    (folder / "request.json").write_text(json.dumps(dict(request)))
    package_parent = Path(sys.modules["graphlab"].__path__[0]).resolve().parent
    more = "\n".join(str(path) for path in (package_parent, *paths))
    command = [sys.executable, "-P", "-c", _BOOT, more, worker]
    start = time.perf_counter()
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,  # held open: its end tells the worker that we are gone
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stopped, peak = _watch(process, start + time_limit, limit)
    seconds = time.perf_counter() - start

    failed = _Failure(folder, asked, progress)
    if stopped == "time":
        failed.report("timeout", f"it ran longer than {time_limit:g} s", "raise time_limit, or compile a smaller part")
    if stopped == "memory":
        failed.report("memory", f"it used more than {limit / 2**20:,.0f} MiB of memory", "raise memory_limit, or compile a smaller part")
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        hint = ", which the kernel sends when the machine is out of memory" if name == "SIGKILL" else ""
        failed.report("crashed", f"the compiler crashed with {name}{hint}", "the log above is the compiler's own; report it to its makers")
    try:
        answer = json.loads((folder / "result.json").read_text())
    except FileNotFoundError:
        failed.report("crashed", f"the worker ended with status {process.returncode} and no answer", "see the log above")
    if "refused" in answer:
        failed.report("refused", answer["refused"], "change what it names, or choose another compiler or target", quote_log=False)
    if "error" in answer:
        failed.report("failed", answer["error"], answer.get("do", "see the log above"))
    return Outcome(answer["result"], failed.log(), seconds, peak)


def serve(handle: Callable[[dict[str, Any], Path], Mapping[str, Any]]) -> NoReturn:
    """The worker's side: read the request, answer it, end the process.

    ``handle(request, folder)`` returns what JSON can hold, or raises :class:`Refused`.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(OSError):  # a system without it; then the parent's limit is all there is
        Path("/proc/self/oom_score_adj").write_text("1000")
    folder = Path.cwd()
    answer: dict[str, Any]
    try:
        answer = {"result": handle(json.loads((folder / "request.json").read_text()), folder)}
    except Refused as error:
        answer = {"refused": str(error)}
    except GraphlabError as error:
        answer = {"error": error.found, "do": error.do}
    except Exception as error:  # noqa: BLE001 (any failure must reach the parent; its traceback goes to the log)
        import traceback

        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    part = folder / "result.json.part"
    part.write_text(json.dumps(answer))
    part.replace(folder / "result.json")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # frameworks take long to tear down, and some crash at it


def step(name: str) -> None:
    """In a worker: say what comes next, so that a crash can be told with the place it happened."""
    Path("step.txt").write_text(name)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _watch(process: subprocess.Popen[bytes], deadline: float, memory_limit: int) -> tuple[str, int]:
    """Wait for the end, or bring it about: which limit was hit (empty for none), and the peak memory."""
    waiter = threading.Thread(target=_wait, args=(process,), daemon=True)
    waiter.start()
    peak, stopped = 0, ""
    try:
        while True:
            waiter.join(POLL_SECONDS)
            if not waiter.is_alive():
                break
            peak = max(peak, _resident(process.pid))
            if peak > memory_limit:
                stopped = "memory"
                break
            if time.perf_counter() > deadline:
                stopped = "time"
                break
    finally:  # on KeyboardInterrupt too
        with suppress(ProcessLookupError, PermissionError):  # nobody is left (macOS: or only the zombie)
            os.killpg(process.pid, signal.SIGKILL)
        waiter.join()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
    return stopped, peak


def _wait(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "waitid"):
        # Leaves the zombie: as long as it stands, its group's number cannot be another's when we kill the group.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()


def _resident(session: int) -> int:
    """Resident bytes of all processes of a session; shared pages count once for each. 0 without /proc."""
    total = 0
    with suppress(FileNotFoundError), os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdigit():
                continue
            with suppress(OSError):  # it ended meanwhile
                # proc(5) stat: pid (comm) state ppid pgrp session ... field 24 is rss in pages; comm may hold anything.
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[3]) == session:
                    total += int(fields[21])
    return total * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class _Failure:
    folder: Path
    asked: str
    progress: Callable[[], str] | None

    def log(self) -> str:
        return (self.folder / "log.txt").read_text(errors="replace")

    def report(self, reason: Any, found: str, do: str, *, quote_log: bool = True) -> NoReturn:
        at = self.folder / "step.txt"
        step = at.read_text() if at.is_file() else "start"
        reached = self.progress() if self.progress is not None else ""
        found += f" (in step '{step}'{'; ' + reached if reached else ''})" if reason != "refused" else ""
        log = self.log()
        lines = [line for line in log.splitlines() if line.strip() and not _STACK.match(line)]
        fatal = [i for i, line in enumerate(lines) if _FATAL.match(line)]
        lines = lines[fatal[-1] :][:LOG_LINES] if fatal else lines[-LOG_LINES:]
        if quote_log and lines:
            found += "\n  its log:\n" + "\n".join(f"    {line[:300]}" for line in lines)
        raise CompileError(self.asked, found=found, do=do, reason=reason, step=step, log=log)
