"""``.pt2`` archives read without torch say what the live exported program says."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab.capture.file import File
from graphlab.capture.torch import pt2
from graphlab.errors import FormatError, SelectError
from graphlab.ir.graph import Control
from graphlab.ir.program import DimRange, Program
from graphlab.ir.values import SymDim, TensorType
from graphlab.ir.verify import ensure_verified

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402


class Plain(torch.nn.Module):
    """Parameters, buffers of both kinds, a constant, a transposed weight, arguments that are no tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(4, 8)
        self.down = torch.nn.Linear(8, 4)
        self.down.weight = torch.nn.Parameter(torch.randn(8, 4).t())
        self.register_buffer("seen", torch.zeros(3))
        self.register_buffer("scale", torch.ones(2), persistent=False)
        self.steps = torch.arange(4.0)

    def forward(self, x: Any, k: int = 2, flag: bool = True, name: str = "q") -> Any:
        self.seen.add_(1)
        return {"y": self.down(torch.relu(self.up(x))) * k + self.steps, "m": self.scale.sum()}


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(10, 6)
        self.head = torch.nn.Linear(6, 10, bias=False)
        self.head.weight = self.table.weight

    def forward(self, i: Any) -> Any:
        return self.head(self.table(i))


class Several(torch.nn.Module):
    """Operations with several results, some of them lists, some of them unused."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.rnn = torch.nn.LSTM(4, 5, batch_first=True)

    def forward(self, x: Any, z: Any) -> Any:
        a, _, c = self.norm(x).split(1, dim=1)
        o, (h, _) = self.rnn(z)
        parts = torch.unbind(x, 0)
        return a + c, torch.topk(x.flatten(), 3).values, o, h, parts[1], torch.stack(parts), x.chunk(2, -1)


class Branch(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x: Any, p: Any) -> Any:
        def then(x: Any) -> Any:
            return self.layer(x).sin(), x.sum()

        def other(x: Any) -> Any:
            return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,)), x.mean()

        return torch.cond(p, then, other, (x,))


class Loop(torch.nn.Module):
    def forward(self, i: Any, x: Any) -> Any:
        from torch._higher_order_ops import while_loop

        return while_loop(lambda i, x: i > 0, lambda i, x: (i - 1, x * 2), (i, x))


class Scanned(torch.nn.Module):
    def forward(self, x: Any, y: Any) -> Any:
        from torch._higher_order_ops.map import map
        from torch._higher_order_ops.scan import scan

        return scan(lambda c, v: (c + v, (c * v).clone()), torch.zeros(3), x), map(lambda a, b: a * b.sum(), x, y)


class Sized(torch.nn.Module):
    def forward(self, x: Any, y: Any, n: Any) -> Any:
        u = n.item()
        torch._check(u >= 2)
        torch._check(u < x.shape[0])
        rows, columns = x.shape[0], y.shape[1]
        return x[:u] * u, torch.zeros(rows // 2 + columns, columns * columns), x.reshape(rows * 2, -1), torch.nonzero(x), rows + 3 * columns


class Written(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(2, 3))

    def forward(self, x: Any) -> Any:
        x.mul_(2)
        self.cache.copy_(x)
        return x.view(3, 2).t()[1:, None, ...], torch.nn.functional.dropout(x, 0.3), torch.rand(2)


class Kinds(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        wide = x.to(torch.float8_e4m3fn), x.long(), torch.full((2, 2), float("inf")), torch.complex(x, x) * (1 + 2j)
        more = torch.arange(5, dtype=torch.uint8, device="cpu"), x[:, [0, 1]], torch.where(x > 0, x, float("-inf"))
        return *wide, *more, x.to(memory_format=torch.channels_last), x.to(torch.bfloat16)


class Reused(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        block = torch.compiler.nested_compile_region(lambda a, b: a.sin() + b)
        return block(x, x) + block(x + 1, x)


class NoGrad(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        with torch.no_grad():
            y = x.sin()
        return y + x @ x


def _encoder() -> Any:
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()


def _dim(name: str, low: int, high: int) -> Any:
    return torch.export.Dim(name, min=low, max=high)


MODELS: dict[str, Callable[[], tuple[Any, tuple[Any, ...], dict[str, Any]]]] = {
    "plain": lambda: (Plain(), (torch.randn(3, 4),), {"kwargs": {"k": 3, "flag": False, "name": "z"},
                      "dynamic_shapes": {"x": {0: _dim("b", 2, 100)}, "k": None, "flag": None, "name": None}}),
    "tied": lambda: (Tied(), (torch.tensor([1, 2, 3]),), {}),
    "several": lambda: (Several().train(), (torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4)), {}),
    "branch": lambda: (Branch(), (torch.randn(3, 3), torch.tensor(True)), {}),
    "loop": lambda: (Loop(), (torch.tensor(3), torch.randn(2)), {}),
    "scanned": lambda: (Scanned(), (torch.randn(5, 3), torch.randn(2)), {}),
    "sized": lambda: (Sized(), (torch.randn(8, 4), torch.randn(3, 5), torch.tensor(3)),
                      {"dynamic_shapes": {"x": {0: _dim("n", 4, 64)}, "y": {1: _dim("m", 2, 1 << 40)}, "n": None}}),
    "written": lambda: (Written().train(), (torch.ones(2, 3),), {}),
    "kinds": lambda: (Kinds(), (torch.randn(1, 2, 3, 4),), {}),
    "reused": lambda: (Reused(), (torch.randn(3),), {}),
    "no_grad": lambda: (NoGrad(), (torch.randn(3, 3),), {}),
    "encoder": lambda: (_encoder(), (torch.randn(2, 5, 16),), {}),
}  # fmt: skip


@cache
def exported(name: str, decomposed: bool) -> Any:
    torch.manual_seed(0)
    model, args, more = MODELS[name]()
    program = torch.export.export(model, args, more.get("kwargs"), dynamic_shapes=more.get("dynamic_shapes"))
    return program.run_decompositions() if decomposed else program


@cache
def saved(name: str, decomposed: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(exported(name, decomposed), buffer)
    return buffer.getvalue()


def read(data: bytes, select: str | None = None) -> Program:
    return ensure_verified(pt2.read(File.of("model.pt2", data), select=select))


def repacked(data: bytes, change: Callable[[str, bytes], bytes | None], more: dict[str, bytes] | None = None) -> bytes:
    """The archive with members changed, or left out for ``None``."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return made.getvalue()


def edited(data: bytes, edit: Callable[[Any], None]) -> bytes:
    """The archive with its program's JSON changed."""

    def change(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        held = json.loads(content)
        edit(held)
        return json.dumps(held).encode()

    return repacked(data, change)


def _names(program: Program) -> list[set[str]]:
    return [set(graph.nodes) for graph in program.graphs.values()]


def _places(program: Program) -> list[Any]:
    return [(node.scope, program.stack(node)) for _, node in program.each_node()]


@pytest.mark.parametrize("decomposed", [False, True], ids=["exported", "decomposed"])
@pytest.mark.parametrize("name", MODELS)
def test_a_file_says_what_the_live_program_says(name: str, decomposed: bool) -> None:
    live = graphlab.capture(exported(name, decomposed))
    program = read(saved(name, decomposed))
    assert graphlab.diff(live, program).equal
    assert program.signatures == live.signatures
    assert dict(program.dims) == dict(live.dims)
    assert program.source.notes == live.source.notes
    assert program.source.producer == live.source.producer
    assert program.count() == live.count()
    if name != "no_grad" or decomposed:  # the file keeps which graph a node gets, and not the node's own name
        assert _names(program) == _names(live)
        assert _places(program) == _places(live)
        assert [node.meta for _, node in program.each_node()] == [node.meta for _, node in live.each_node()]


@pytest.mark.parametrize("name", ["plain", "several", "branch", "sized"])
def test_torch_reads_the_file_alike(name: str) -> None:
    """torch puts a ``getitem`` behind every result, used or not; all else is the same."""
    loaded = graphlab.capture(torch.export.load(io.BytesIO(saved(name))))
    program = read(saved(name))
    unused = [id for graph in loaded.graphs.values() for id in graph.nodes if "_unused_" in id]
    assert program.count() == loaded.count() - len(unused)
    assert program.signatures["forward"].inputs == loaded.signatures["forward"].inputs


@pytest.mark.parametrize("name", ["plain", "tied", "several", "encoder"])
def test_values_are_the_models(name: str) -> None:
    live = {node.name: node.value for _, node in graphlab.capture(exported(name, False)).each_node() if node.value is not None}
    held = {node.name: node.value for _, node in read(saved(name)).each_node() if node.value is not None}
    assert held.keys() == live.keys()
    assert held
    assert all(value.bytes() == live[name].bytes() for name, value in held.items())


def test_reading_touches_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(saved("encoder"))
    program = graphlab.load(path)
    path.write_bytes(b"gone" + saved("encoder"))
    values = [node.value for _, node in program.each_node() if node.value is not None]
    with pytest.raises(graphlab.GraphlabError, match="changed"):
        values[0].bytes()


def test_reading_imports_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(saved("branch"))
    code = f"import sys, graphlab; graphlab.load({str(path)!r}); assert 'torch' not in sys.modules and 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_branches_and_loops_are_wired() -> None:
    branch, loop = read(saved("branch")), read(saved("loop"))
    cond = next(node for node in branch.main.each_node() if node.op == "higher_order.cond")
    assert cond.control == Control("conditional", predicate=0)
    assert {role: branch.graphs[call.graph].count() for role, call in cond.calls.items()} == {"then": 7, "else": 11}
    body = next(node for node in loop.main.each_node() if node.op == "higher_order.while_loop").calls["body"]
    assert body.carried == ((0, 0), (1, 1))


def test_symbolic_sizes_keep_their_ranges() -> None:
    program = read(saved("sized"))
    rows = program.signatures["forward"].inputs[0].type
    assert isinstance(rows, TensorType)
    assert rows.dims is not None
    assert isinstance(rows.dims[0], SymDim)
    assert program.dims[rows.dims[0].expr] == DimRange(4, 64)


def test_several_programs_are_told_apart_by_name() -> None:
    from torch.export.pt2_archive._package import package_pt2

    buffer = io.BytesIO()
    package_pt2(
        buffer, exported_programs={"one": exported("tied", False), "two/b": exported("loop", False)}, extra_files={"note.txt": "hi"}
    )
    data = buffer.getvalue()
    with pytest.raises(SelectError) as refused:
        read(data)
    assert refused.value.names == ("one", "two/b")
    assert graphlab.diff(read(data, "two/b"), read(saved("loop"))).equal
    assert [node.value.array().shape for _, node in read(data, "one").each_node() if node.value] == [(10, 6), (10, 6)]


def test_trusted_reading_gives_torchs_own_object(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(saved("tied"))
    program = graphlab.load(path, trust=True)
    assert isinstance(program.native, torch.export.ExportedProgram)
    assert graphlab.diff(program, graphlab.load(path)).equal


def _older(data: bytes, edit: Callable[[Any], None] = lambda held: None) -> bytes:
    """The program in the layout of torch 2.1 to 2.7: flat names, weights in one ``torch.save`` archive."""
    program = exported("plain", False)
    weights, constants = io.BytesIO(), io.BytesIO()
    torch.save(dict(program.state_dict), weights)
    torch.save(dict(program.constants), constants)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = json.loads(archive.read(next(n for n in archive.namelist() if n.endswith("models/model.json"))))
    edit(held)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        new.writestr("version", "8.2")
        new.writestr("serialized_exported_program.json", json.dumps(held))
        new.writestr("serialized_state_dict.pt", weights.getvalue())
        new.writestr("serialized_constants.pt", constants.getvalue())
    return made.getvalue()


def test_the_older_layout_reads_alike_with_its_weights() -> None:
    old, new = read(_older(saved("plain"))), read(saved("plain"))
    assert graphlab.diff(old, new).equal
    pairs = [(a.value, b.value) for (_, a), (_, b) in zip(old.each_node(), new.each_node(), strict=True) if a.value is not None]
    assert pairs
    assert all(a is not None and b is not None and a.bytes() == b.bytes() for a, b in pairs)


def _each(held: Any) -> Iterator[dict[str, Any]]:
    waiting = [held]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _node(held: Any, name: str) -> Any:
    return next(node for node in held["graph_module"]["graph"]["nodes"] if node["name"] == name)


UNION = ("as_none", "as_tensor", "as_int", "as_sym_int", "as_expr", "as_bool", "as_float", "as_string")


def _as_torch_2_2(held: Any) -> None:
    """Schema 3 to 5: every member of a union written, no names of nodes, no kinds of arguments, expressions as torch prints them."""
    for each in list(_each(held)):
        each.pop("is_hop_single_tensor_return", None)
        each.pop("kind", None)
        if "target" in each:
            each.pop("name", None)
        if "expr_str" in each and each["expr_str"].startswith("Symbol('"):
            each["expr_str"] = each["expr_str"].split("'")[1]
    for each in list(_each(held)):
        if len(each) == 1 and next(iter(each)) in UNION:
            each.update({member: each.get(member) for member in UNION})
    held["schema_version"] = {"major": 5, "minor": 1}
    held["dialect"] = "ATEN"
    del held["verifiers"], held["torch_version"], held["guards_code"]


def _as_torch_2_1(held: Any) -> None:
    """Schema 1: a union is ``{"$type", "$value"}``, the version a number."""
    _as_torch_2_2(held)
    for each in list(_each(held)):
        if set(each) == set(UNION):
            [(member, value)] = [(k, v) for k, v in each.items() if v is not None]
            each.clear()
            each.update({"$type": member, "$value": value})
    held["schema_version"] = 1


@pytest.mark.parametrize(("older", "schema"), [(_as_torch_2_2, "5.1"), (_as_torch_2_1, "1")])
def test_older_schemas_read_alike(older: Callable[[Any], None], schema: str) -> None:
    old, new = read(_older(saved("plain"), older)), read(saved("plain"))
    assert graphlab.diff(old, new).equal
    assert old.meta["schema"] == schema
    assert old.meta["dialect"] == "ATEN"


def test_a_member_of_a_later_schema_is_kept_as_text() -> None:
    def edit(held: Any) -> None:
        node = next(n for n in held["graph_module"]["graph"]["nodes"] if n["target"].endswith("aten.mul.Tensor"))
        node["inputs"][1]["arg"] = {"as_quaternion": {"w": 1}}
        held["later"] = {"field": 1}

    program = read(edited(saved("plain"), edit))
    mul = next(node for node in program.main.each_node() if node.op == "aten.mul.Tensor")
    assert mul.attrs == {"other": {"as_quaternion": "an object of 1"}}


@pytest.mark.parametrize(
    ("break_it", "found"),
    [
        (lambda held: held["graph_module"].pop("graph"), "an object is expected"),
        (lambda held: held["graph_module"]["graph"]["nodes"].append(7), "an object is expected"),
        (lambda held: held["graph_module"]["graph"]["tensor_values"].pop("relu"), "type of 'relu' is not told"),
        (lambda held: _node(held, "linear")["inputs"][0]["arg"]["as_tensor"].update(name="nobody"), "which is not there"),
        (lambda held: held["graph_module"]["graph"]["nodes"].append(held["graph_module"]["graph"]["nodes"][1]), "two of its nodes"),
        (lambda held: held["graph_module"]["signature"]["input_specs"].insert(0, {"a": 1, "b": 2}), "2 members set"),
    ],
)
def test_a_broken_program_is_refused_with_its_place(break_it: Callable[[Any], Any], found: str) -> None:
    with pytest.raises(FormatError, match=found) as refused:
        read(edited(saved("plain"), break_it))
    assert refused.value.where


def test_nesting_without_end_is_refused() -> None:
    deep = repacked(saved("loop"), lambda name, content: b"[" * 200_000 if name.endswith("models/model.json") else content)
    with pytest.raises(FormatError, match="nests too deep"):
        read(deep)

    def nest(held: Any) -> None:
        loop = next(n for n in held["graph_module"]["graph"]["nodes"] if n["target"].endswith("while_loop"))
        graph = loop["inputs"][0]["arg"]["as_graph"]["graph"]
        for _ in range(50):
            outer = {"target": "torch.ops.higher_order.wrap", "inputs": [{"name": "", "arg": {"as_graph": {"name": "g", "graph": graph}}}]}
            graph = {**graph, "nodes": [{**outer, "outputs": []}]}
        loop["inputs"][0]["arg"]["as_graph"]["graph"] = graph

    with pytest.raises(FormatError, match="graphs nest more than"):
        read(edited(saved("loop"), nest))


def test_a_bomb_is_not_unpacked() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/archive_format", "pt2")
        archive.writestr("m/models/model.json", b" " * (80 << 20))
    with pytest.raises(FormatError, match="is the most that is read"):
        read(made.getvalue())


def test_a_pickle_in_an_archive_is_never_run(tmp_path: Path) -> None:
    import pickle

    flag = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> Any:
            return (Path.touch, (flag,))

    evil = pickle.dumps({"up.weight": Payload()})
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("archive/data.pkl", evil)
    data = repacked(_older(saved("plain")), lambda name, content: inner.getvalue() if name == "serialized_state_dict.pt" else content)
    program = read(data)
    assert not flag.exists()
    value = next(node.value for _, node in program.each_node() if node.name == "up.weight")
    assert value is not None
    assert not value.available


def test_weights_that_are_not_there_say_so() -> None:
    def fewer(name: str, content: bytes) -> bytes | None:
        return content[:8] if name.endswith("data/weights/weight_0") else None if name.endswith("weight_1") else content

    program = read(repacked(saved("plain"), fewer))
    reasons = [node.value.reason for _, node in program.each_node() if node.value is not None and not node.value.available]
    assert len(reasons) == 2
    assert any("fewer than its shape asks for" in reason for reason in reasons)
    assert any("holds no" in reason for reason in reasons)


def test_other_archives_are_not_taken() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("model/config.json", "{}")
    assert not pt2.matches(File.of("x.keras", made.getvalue()))
    assert not pt2.matches(File.of("x", b"PK\x03\x04 and no more"))
    assert not pt2.matches(object())
