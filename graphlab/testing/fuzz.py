"""Tries readers on damaged copies of files: ``python -m graphlab.testing.fuzz FILE... --count 10000``.

Each copy must be refused by an error of graphlab's, or give a Program that verifies, within the limits of time and memory.
The copies are tried in a process of its own; one that ends or hangs costs a defect, and the next goes on behind it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphlab.errors import FormatError, GraphlabError
from graphlab.testing.mutate import mutated

SECONDS = 20.0
"""Longest that one copy may take."""
MEMORY = 2 << 30
"""Bytes of address space that a reading may add."""
_ORIGINAL_FAILS = 9


@dataclass(slots=True)
class Report:
    """What came of the copies.

    Attributes:
        tried: how many there were.
        read: how many gave a verified Program.
        refused: how many an error of graphlab's refused, by the error's class.
        slowest: seconds of the slowest.
        defects: what went wrong with the others, and the seed and number that make such a copy again.
    """

    tried: int = 0
    read: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    defects: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        refused = ", ".join(f"{name} {n:,}" for name, n in self.refused.most_common())
        head = (
            f"{self.tried:,} tried: {self.read:,} read and verified, {sum(self.refused.values()):,} refused ({refused}); "
            f"slowest {self.slowest:.1f} s"
        )
        return "\n".join([head, f"{len(self.defects):,} defects", *self.defects])


def fuzz(paths: Sequence[Path], *, count: int, seed: int = 0, keep: Path | None = None) -> Report:
    """Try ``count`` damaged copies, of each file in turn.

    Args:
        keep: a folder for the copies that show a defect.

    Raises:
        GraphlabError: a file itself, undamaged, ends in anything but a Program or a FormatError.
    """
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        start = 0
        while start < count:
            start = _session(list(paths), start, count, seed, Path(folder), keep, report)
    return report


def _session(paths: list[Path], start: int, count: int, seed: int, folder: Path, keep: Path | None, report: Report) -> int:
    """One process's worth: from number ``start`` up to the first that kills it. Returns where to go on."""
    request = json.dumps([[str(p) for p in paths], start, count, seed, str(folder), None if keep is None else str(keep)])
    with (folder / "log.txt").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "graphlab.testing.fuzz", "--worker", request], stdout=subprocess.PIPE, stderr=log, text=True
        )
        assert process.stdout is not None
        done = start
        for line in process.stdout:
            number, outcome, seconds, text = json.loads(line)
            done = number + 1
            report.tried += 1
            report.slowest = max(report.slowest, seconds)
            if outcome == "read":
                report.read += 1
            elif outcome == "refused":
                report.refused[text] += 1
            else:
                report.defects.append(text)
        status = process.wait()
        if done >= count:
            return count
        log.seek(0)
        if status == _ORIGINAL_FAILS:
            raise GraphlabError("try damaged copies", found=f"a file itself cannot be read:\n{log.read()[-1500:]}", do="mend that first")
        report.tried += 1
        path = paths[done % len(paths)]
        report.defects.append(
            f"{path}, --seed {seed} --start {done}: ended with status {status}, or took more than {SECONDS:g} s\n{log.read()[-1500:]}"
        )
        if keep is not None:
            _keep(path, seed, done, keep)
    return done + 1


def _keep(path: Path, seed: int, number: int, keep: Path) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    to = keep / f"{seed}-{number}-{path.name}"
    if not to.exists():
        mutated(path, random.Random(f"{seed} {number}"), to)


def _work(request: str) -> None:
    from graphlab.capture.dispatch import load

    paths, start, count, seed, folder, keep = json.loads(request)
    for number in range(start, count):
        path = Path(paths[number % len(paths)])
        if number - start < len(paths):
            _load_whole(path)  # its imports and caches are none of a copy's time or memory
        if number == start:
            _limit_memory()
        copy = mutated(path, random.Random(f"{seed} {number}"), Path(folder) / f"{number}")
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        began, outcome, text = time.perf_counter(), "read", ""
        try:
            load(copy)
        except FormatError as error:
            outcome, text = "refused", type(error).__name__
            if str(copy) not in str(error):
                outcome, text = "defect", f"{path}, --seed {seed} --start {number}: the error does not name the file: {error}"
        except Exception as error:  # noqa: BLE001 (whatever leaks is the find)
            last = traceback.extract_tb(error.__traceback__)[-1]
            outcome = "defect"
            text = f"{path}, --seed {seed} --start {number}: {type(error).__name__}: {str(error)[:300]} at {last.filename}:{last.lineno}"
        faulthandler.cancel_dump_traceback_later()
        if outcome == "defect" and keep is not None:
            _keep(path, seed, number, Path(keep))
        print(json.dumps([number, outcome, time.perf_counter() - began, text]), flush=True)
        _remove(copy)


def _load_whole(path: Path) -> None:
    from graphlab.capture.dispatch import load

    try:
        load(path)
    except FormatError:  # it needs a selection: its copies are refused the same way, or earlier
        return
    except Exception:  # noqa: BLE001 (told, and the end)
        traceback.print_exc()
        sys.exit(_ORIGINAL_FAILS)


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 where every copy was refused or verified, 1 where there are defects."""
    parser = argparse.ArgumentParser(prog="python -m graphlab.testing.fuzz", description="Try readers on damaged copies of files.")
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--count", type=int, default=10_000, help="damaged copies, of each file in turn (default 10,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the copies that show a defect")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.worker:
        _work(given.worker)
        return 0
    if not given.paths:
        parser.error("name one file or more")
    report = fuzz(given.paths, count=given.count, seed=given.seed, keep=given.keep)
    print(report)
    return 1 if report.defects else 0


if __name__ == "__main__":
    sys.exit(main())
