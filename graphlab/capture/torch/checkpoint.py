"""Refuses what PyTorch pickles without a graph, saying what it is: checkpoints, whole modules, torch.package archives."""

from __future__ import annotations

import tarfile
from io import BytesIO
from typing import Any, NoReturn

from graphlab.capture.archive import Archive
from graphlab.capture.file import File
from graphlab.capture.torch import restricted_pickle
from graphlab.capture.torch.mar import is_served
from graphlab.capture.torch.pt2 import is_exported
from graphlab.capture.torch.restricted_pickle import Call, TensorRecord
from graphlab.capture.torch.script_archive import is_script
from graphlab.capture.torch.script_state import counted, plain
from graphlab.errors import FormatError
from graphlab.ir.program import Program

READS = "PyTorch checkpoints (.pt, .pth), only to say what they hold"

_PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""What ``torch.save`` began with until version 1.6: its magic number, pickled."""
_LIMIT = 64 << 20
_PACKAGE = ".data/extern_modules"


def matches(target: object) -> bool:
    """Whether it is torch's pickle in a zip archive, in its old format, or in the tar format before that."""
    if not isinstance(target, File):
        return False
    if target.head.startswith(_LEGACY) or target.head.startswith(_PICKLE) or _is_tar(target):
        return True
    if not target.head.startswith(b"PK\x03\x04"):
        return False
    try:
        archive = Archive.open(target)
    except FormatError:
        return False
    if is_script(archive.names) or is_served(archive.names) or is_exported(archive):
        return False
    return any(_is_pickle(name) for name in archive.names) or _is_package(archive.names)


def read(file: File, *, select: str | None = None) -> Program:
    """Always raises FormatError: there is no graph in it."""
    if file.head.startswith(b"PK\x03\x04"):
        archive = Archive.open(file)
        if _is_package(archive.names):
            what = "a torch.package archive: Python code and pickled objects, which only running it turns into a model"
            _refuse(file, what, where=_PACKAGE)
        name = next(name for name in archive.names if _is_pickle(name))
        held = restricted_pickle.loads(archive.read(name, limit=min(_LIMIT, (1 << 20) + 30 * file.size)), name=f"{file.name}!{name}")
        _refuse(file, _described(held), where=name)
    if file.head.startswith(_LEGACY):
        # magic number, protocol version, system's properties, the object
        found, _ = restricted_pickle.loads_many(bytes(file.view()[:_LIMIT]), name=file.name, limit=4)
        _refuse(file, f"{_described(found[3]) if len(found) == 4 else 'a checkpoint cut short'}, in torch.save's format before version 1.6")
    if _is_tar(file):
        _refuse(file, "PyTorch weights in the tar format before version 0.1.10")
    held = restricted_pickle.loads(bytes(file.view()[:_LIMIT]), name=file.name)
    _refuse(file, f"a Python pickle of {_kind(held)}")


def _refuse(file: File, what: str, *, where: str = "offset 0") -> NoReturn:
    raise FormatError(
        f"read {file.name}",
        found=f"it holds no graph: {what}",
        do="capture the model live from its Python file, or save it by torch.jit.save or torch.export.save; pickles are never run here",
        where=where,
    )


def _is_pickle(name: str) -> bool:
    return name.endswith("/data.pkl") and name.count("/") == 1


def _is_package(names: tuple[str, ...]) -> bool:
    return any(name.endswith(f"/{_PACKAGE}") for name in names)


def _is_tar(file: File) -> bool:
    if len(file.head) < 512 or file.head[257:262] != b"ustar":
        return False
    try:
        with tarfile.open(fileobj=BytesIO(file.head)) as held:
            first = held.next()
    except (tarfile.TarError, EOFError, ValueError):
        return False
    return first is not None and first.name in ("sys_info", "pickle", "storages", "tensors")


def _described(held: Any) -> str:
    """``a state_dict of 14 tensors``, ``a pickled module my.Net of 4 tensors`` …"""
    count = counted(held)
    tensors = f"{count:,} tensor{'' if count == 1 else 's'}"
    bare = plain(held)
    if isinstance(held, TensorRecord):
        return "one tensor"
    if isinstance(bare, dict) and bare and all(isinstance(value, TensorRecord) for value in bare.values()):
        return f"a state_dict of {tensors}"
    if isinstance(held, Call) and isinstance(held.state, dict) and "_modules" in held.state:
        return f"a whole pickled module of the class {held.name[:200]}, with {tensors}"
    if isinstance(bare, dict):
        keys = [str(key)[:40] for key in bare if isinstance(key, (str, int))]
        listed = ", ".join(keys[:6]) + (f" and {len(keys) - 6:,} more" if len(keys) > 6 else "")
        return f"a checkpoint of {tensors} (keys {listed})" if keys else f"a checkpoint of {tensors}"
    return f"{_kind(held)} of {tensors}"


def _kind(held: Any) -> str:
    if isinstance(held, Call):
        return f"an object of {held.name[:200] or 'some class'}"
    return f"a {type(held).__name__}"
