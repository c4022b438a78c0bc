"""Reads a file twice in a process of its own and tells what that did: ``python -m graphlab.testing.worker '["path", null]'``.

The first reading imports what it needs. The second is watched by Python's audit events: by then nothing is left to import,
so any code run, file written, program started or connection opened is the file's doing.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from graphlab.capture.dispatch import load
from graphlab.ir.constants import digest
from graphlab.ir.format import dumps

FRAMEWORKS = ("torch", "tensorflow", "jax", "jaxlib", "keras", "onnx", "tensorflow_federated")
# https://docs.python.org/3/library/audit_events.html
_FORBIDDEN = (
    "exec", "import", "pickle.find_class", "socket.", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork",
    "os.startfile", "ctypes.dlopen", "ctypes.dlsym", "code.__new__", "marshal.load", "os.remove", "os.rename", "os.mkdir",
    "os.symlink", "shutil.", "urllib.Request", "ftplib.", "webbrowser.",
)  # fmt: skip


def main(argument: str) -> None:
    path, select = json.loads(argument)
    before = _resident()
    program = load(path, select=select)
    grown = _resident() - before
    loaded = [name for name in FRAMEWORKS if name in sys.modules]
    told = digest(dumps(program))

    events: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and _is_forbidden(event, arguments):
            events.append(f"{event} {arguments!r:.120}")

    sys.addaudithook(watch)
    load(path, select=select)
    watching[0] = False
    print(json.dumps({"digest": told, "grown_bytes": grown, "events": events, "frameworks": loaded}))


def _is_forbidden(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        return isinstance(arguments[1], str) and any(c in arguments[1] for c in "wax+")
    return event.startswith(_FORBIDDEN)


def _resident() -> int:
    """The largest resident memory of this process so far, in bytes.

    From /proc where there is one: Linux's ``ru_maxrss`` begins with the parent's. It is in KiB there, on macOS in bytes.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main(sys.argv[1])
