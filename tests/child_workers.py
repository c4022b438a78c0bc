"""Workers that misbehave, for test_child.py: each behaviour is asked for by name in the request."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from graphlab import child


def handle(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    child.step(request["do"])
    match request["do"]:
        case "answer":
            print("said on stdout")
            print("said on stderr", file=sys.stderr)
            return {"sum": sum(request["numbers"]), "cwd": str(folder), "path": sys.path, "modules": sorted(sys.modules)}
        case "environment":
            return {"value": os.environ.get(request["name"])}
        case "import":
            return {"file": __import__(request["name"]).__file__}
        case "refuse":
            raise child.Refused("unsupported op: frobnicate")
        case "raise":
            raise ValueError("a bug of ours")
        case "abort":
            print("Check failed: rank == 2", file=sys.stderr, flush=True)
            os.abort()
        case "exit":
            sys.exit(3)
        case "sleep":
            time.sleep(60)
        case "hold":
            held = b"x" * request["bytes"]
            time.sleep(0.3)
            return {"held": len(held)}
        case "eat":
            hoard = []
            while True:
                hoard.append(b"x" * 2**24)
        case "eat in a grandchild":
            subprocess.run([sys.executable, "-c", "h = []\nwhile True: h.append(b'x' * 2**24)"], check=True)
        case "leave a grandchild":
            left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            return {"pid": left.pid}
    raise AssertionError(request)


if __name__ == "__main__":
    child.serve(handle)
