"""TorchScript archives read without torch, against what torch makes of the same files."""

from __future__ import annotations

import contextlib
import enum
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Dict, Final, List, NamedTuple, Optional, Tuple, Union  # noqa: UP035  TorchScript reads these

import numpy as np
import pytest

import graphlab
from graphlab.capture.file import File
from graphlab.capture.torch import script_archive
from graphlab.errors import FormatError, GraphlabError, SelectError
from graphlab.ir.program import Program
from graphlab.ir.verify import verify
from graphlab.testing import check_reader

pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Point(NamedTuple):
    x: Tensor
    y: int


@torch.jit.script
class Account:
    def __init__(self, n: int) -> None:
        self.n = n
        self.items: List[Tensor] = []  # noqa: UP006

    def add(self, x: Tensor) -> None:
        self.items.append(x)
        self.n += 1

    def total(self) -> Tensor:
        found = torch.zeros(1)
        for item in self.items:
            found = found + item.sum()
        return found


@torch.jit.script
class Held:
    def __init__(self) -> None:
        self.n = 0

    def __enter__(self) -> int:
        self.n += 1
        return self.n

    def __exit__(self, a: Any, b: Any, c: Any) -> None:
        self.n -= 1


@torch.jit.interface
class Block(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


class Adds(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def distinct(values: List[int]) -> int:  # noqa: UP006
    found = torch.jit.annotate(Dict[int, bool], {})  # noqa: UP006
    for value in values:
        found[value] = True
    return len(found)


class Everything(nn.Module):
    """Most of what the language has."""

    def __init__(self) -> None:
        super().__init__()
        self.sub = Adds()
        self.layers = nn.ModuleDict({"a": nn.Linear(2, 2), "0": nn.ReLU()})
        self.k: Final[int] = 3
        self.names = ["a", "b"]
        self.sizes = {"x": 1, "y": 2}
        self.opt: Optional[int] = None  # noqa: UP045
        self.device = torch.device("cpu")
        self.mixed = (1, 2.5, "s")
        self.color = Color.RED

    def forward(
        self,
        x: Tensor,
        c: Color = Color.RED,
        flag: bool = False,
        opt: Optional[Tensor] = None,  # noqa: UP045
        n: int = 3,
        f: float = 0.5,
        s: str = "hi",
    ) -> Dict[str, Tensor]:  # noqa: UP006
        out: Dict[str, Tensor] = {}  # noqa: UP006
        account = Account(n)
        for i in range(n):
            if i == 2:
                continue
            if i > 5:
                break
            account.add(x * i)
        with Held() as q:
            x = x + q
        if c == Color.GREEN:
            x = x * 2
        for k, m in self.layers.items():
            x = m(x)
            out[k] = x
        if opt is not None:
            x = x + opt
        elif flag:
            return {"early": x}
        p = Point(x, n)
        y = self.sub(p.x)
        while True:
            y = y / 2
            if bool(y.sum() < 1):
                break
            if s == "no":
                return out
        values = [i * 2 for i in range(n)]
        z, w = x.max(dim=1)
        a, *rest = (1, 2, 3)
        out["z"] = z.to(self.device) + values[0] + self.mixed[0] + self.k + a + len(rest)
        if len(self.names) > 1:
            out["w"] = w
        assert n > 0, "n must be positive"
        if n < 0:
            raise ValueError(f"bad {n} {s}")
        print("{} {}".format(n, s), "é☃")  # noqa: UP032
        out["c"] = torch.cat([x, y], dim=0)[:, None, 1:3][..., 0]
        out["h"] = x[x > 0]
        x[0] = 1.0
        x[:, 1] += 2
        del out["h"]
        if "z" in out and not flag:
            out["m"] = -x
        r = self.sizes["x"] // 2 + n % 2 + int(f) + round(f)
        e = account.total() if n > 1 else torch.zeros(1)
        out["e"] = e * r + float("inf") + 1e-5
        out["v"] = torch.tensor([[1, 2], [3, 4]]).float().mean(dim=-1, keepdim=True)
        ordered = sorted(values)
        ordered.reverse()
        out["u"] = torch.full([2, 2], float(distinct(ordered)))
        g = max(n, 4) + min(values) + abs(-3) + sum(values)
        out["g"] = torch.rand([g]).type_as(x).clamp(min=0.0)
        return out


Everything.__annotations__ = {"sub": Block}  # torch reads no annotation that is a text


class Listed(nn.Module):
    def forward(self, x: Tensor) -> Tuple[List[List[float]], Optional[int]]:  # noqa: UP006, UP045
        rows: List[List[float]] = x.tolist()  # noqa: UP006
        found: Optional[int] = None  # noqa: UP045
        for i, row in enumerate(rows):
            for a, b in zip(row, row):  # noqa: B905
                if a > b:
                    found = i
        return rows, found


class OneOf(nn.Module):
    def forward(self, x: Union[int, List[int], Tensor]) -> Any:  # noqa: UP006, UP007
        if isinstance(x, int):
            return x + 1
        elif isinstance(x, torch.Tensor):
            return x.sin()
        else:
            return len(x)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, 2, bidirectional=True, dropout=0.1)
        self.gru = nn.GRU(10, 3, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:  # noqa: UP006
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        made, (hidden, _) = self.lstm(packed)
        padded, _ = nn.utils.rnn.pad_packed_sequence(made)
        return self.gru(padded)[0], hidden


class Forks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def work(self, x: Tensor, k: int) -> Tensor:
        return self.linear(x) * k

    def forward(self, x: Tensor) -> Tensor:
        started = [torch.jit.fork(self.work, x, i) for i in range(3)]
        last = torch.jit.fork(self.work, x, k=2)
        done = [torch.jit.wait(each) for each in started]
        return torch.stack(done) + torch.jit.wait(last)


class Early(nn.Module):
    def forward(self, x: Tensor, n: int) -> Tensor:
        for i in range(n):
            if bool(x.sum() > i):
                return x
            for j in range(i):
                if j == 3:
                    break
                x = x + j
                if bool(x.sum() > 100):
                    return x * 2
        return x - 1


class Coin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for i in range(x.size(1)):
            if torch.rand(1) > 0.5:  # the coin
                outputs.append(self.cell(x[:, i]))
        return torch.stack(outputs)


class Holder(nn.Module):
    """Its attributes are ties, views, a constant, and methods nobody calls."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.register_buffer("turned", torch.arange(6.0).view(2, 3).t())
        self.again = self.linear.weight
        self.rate = 0.5
        self.shapes = [(1, 2), (3, 4)]

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.rate + self.turned.sum() + self.again.sum() + len(self.shapes)

    @torch.jit.export
    def other(self, x: Tensor, y: int = 2) -> Tensor:
        return x + y + self.turned.sum()


def _hooked() -> nn.Module:
    def before(self: Any, given: Tuple[Tensor]) -> Tuple[Tensor]:  # noqa: UP006
        return (given[0] * 2,)

    def after(self: Any, given: Tuple[Tensor], made: Tensor) -> Tensor:  # noqa: UP006
        return made + 1

    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model[0].register_forward_pre_hook(before)
    model[0].register_forward_hook(after)
    return model


def _quantized() -> nn.Module:
    from torch.ao.quantization import quantize_dynamic

    model: nn.Module = quantize_dynamic(nn.Sequential(nn.Linear(4, 5), nn.ReLU()), {nn.Linear}, dtype=torch.qint8)
    return model


def _scripted(make: Callable[[], nn.Module]) -> Callable[[], Any]:
    return lambda: torch.jit.script(make())


MODELS: dict[str, Callable[[], Any]] = {
    "everything": _scripted(Everything),
    "listed": _scripted(Listed),
    "one_of": _scripted(OneOf),
    "recurrent": _scripted(Recurrent),
    "forks": _scripted(Forks),
    "early": _scripted(Early),
    "coin": _scripted(Coin),
    "holder": _scripted(Holder),
    "hooked": _scripted(_hooked),
    "quantized": _scripted(_quantized),
    "attention": _scripted(lambda: nn.MultiheadAttention(8, 2)),
    "norms": _scripted(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.Dropout2d(), nn.PReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(4), nn.Softmax(dim=-1), nn.Hardtanh()
        )
    ),
    "resized": _scripted(lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.ConvTranspose2d(1, 2, 3, stride=2))),
    "loss": _scripted(nn.CTCLoss),
    "frozen": lambda: torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval())),
    "frozen_recurrent": lambda: torch.jit.freeze(torch.jit.script(Recurrent().eval())),
    "traced": lambda: torch.jit.trace(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (torch.ones(1, 3, 8),), check_trace=False
    ),
    "traced_lstm": lambda: torch.jit.trace(nn.LSTM(4, 5, 2), (torch.ones(3, 2, 4),)),
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("saved")

    def save(name: str) -> Path:
        path = folder / f"{name}.pt"
        if not path.exists():
            MODELS[name]().save(str(path))
        return path

    return save


class Oracle:
    """A file loaded by torch itself: the kinds of all nodes of every method and function that ``forward`` reaches."""

    def __init__(self, path: Path, nodes: Callable[[Any], list[Any]]) -> None:
        self.unit = torch._C.CompilationUnit()
        self.module = torch._C.import_ir_module(self.unit, str(path), torch.device("cpu"), {}, False)
        self.nodes = nodes
        self.graphs: dict[str, list[Any]] = {}
        self._method(self.module, "", "forward")

    def _method(self, module: Any, path: str, name: str) -> None:
        full = f"{path}.{name}" if path else name
        if full not in self.graphs:
            graph = module._get_method(name).graph
            self._graph(full, graph, {next(iter(graph.inputs())).unique(): (module, path)})

    def _function(self, name: str) -> None:
        function = self.unit.find_function(name)
        short = script_archive_name(name)
        if function is not None and short not in self.graphs:
            self._graph(short, function.graph, {})

    def _graph(self, name: str, graph: Any, known: dict[int, Any]) -> None:
        found = self.graphs[name] = self.nodes(graph)
        for node in found:
            kind = node.kind()
            operands = list(node.inputs())
            if kind == "prim::GetAttr" and operands[0].unique() in known:
                module, path = known[operands[0].unique()]
                held = module.getattr(node.s("name"))
                if isinstance(held, torch._C.ScriptModule):
                    known[node.output().unique()] = (held, f"{path}.{node.s('name')}" if path else node.s("name"))
            elif kind == "prim::CallMethod" and operands[0].unique() in known:
                module, path = known[operands[0].unique()]
                self._method(module, path, node.s("name"))
            elif kind == "prim::CallMethod":
                self._function(f"{operands[0].type().annotation_str}.{node.s('name')}")
            elif kind == "prim::CallFunction":
                self._function(operands[0].type().annotation_str)
            elif kind == "prim::fork":
                inner = node.g("Subgraph")
                pairs = zip(inner.inputs(), operands, strict=True)
                more = {i.unique(): known[o.unique()] for i, o in pairs if o.unique() in known}
                self._graph(f"{name}/fork{len(self.graphs)}", inner, more)


def script_archive_name(name: str) -> str:
    return re.sub(r"___torch_mangle_\d+\.", "", name).removeprefix("__torch__.")


def _kinds(program: Program) -> dict[str, Counter[str]]:
    """Operations of each method's and function's own graph, its branches, loops and forks together."""
    found: dict[str, Counter[str]] = {}
    for name, graph in program.graphs.items():
        own = found.setdefault(name.partition("/")[0], Counter())
        for node in graph.each_node():
            if not node.synthetic:
                own[node.op if node.op not in ("constant", "parameter") else "prim::GetAttr"] += 1
    return found


@pytest.mark.parametrize("name", MODELS)
def test_each_method_has_the_nodes_that_torch_gives_it(name: str, saved: Callable[[str], Path], jit_nodes: Any) -> None:
    path = saved(name)
    program = graphlab.load(path)
    assert verify(program) == ()
    oracle = Oracle(path, jit_nodes)
    expected: dict[str, Counter[str]] = {}
    for full, nodes in oracle.graphs.items():
        expected.setdefault(full.partition("/")[0], Counter()).update(node.kind() for node in nodes)
    found = _kinds(program)
    assert {full: found.get(full) for full in expected} == expected


@pytest.mark.parametrize("name", ["everything", "recurrent", "early", "attention", "traced"])
def test_branches_and_loops_have_torchs_operands_and_results(name: str, saved: Callable[[str], Path], jit_nodes: Any) -> None:
    path = saved(name)
    program = graphlab.load(path)
    oracle = Oracle(path, jit_nodes)
    blocks = Counter(
        (node.kind(), tuple((len(list(b.inputs())), len(list(b.outputs()))) for b in node.blocks()), node.outputsSize())
        for nodes in oracle.graphs.values()
        for node in nodes
        if list(node.blocks())
    )
    found: Counter[Any] = Counter()
    for _, node in program.each_node():
        if node.op in ("prim::If", "prim::Loop"):
            carried = len(node.outputs)
            shape = ((0, carried), (0, carried)) if node.op == "prim::If" else ((carried + 1, carried + 1),)
            found[node.op, shape, carried] += 1
    assert found == blocks


def test_values_have_torchs_types(saved: Callable[[str], Path], jit_nodes: Any) -> None:
    path = saved("everything")
    oracle = Oracle(path, jit_nodes)
    expected = Counter(
        (node.kind(), output.type().annotation_str)
        for node in oracle.graphs["forward"]
        for output in node.outputs()
        if node.kind() not in ("prim::GetAttr", "prim::Constant") and output.type().kind() not in ("TupleType", "ClassType")
    )
    found = Counter(
        (node.op, str(type))
        for name, graph in graphlab.load(path).graphs.items()
        if name.partition("/")[0] == "forward"
        for node in graph.each_node()
        if node.kind == "op"
        for type in node.outputs
    )
    assert not expected - found


def _told(path: Path) -> Program:
    program: Program = graphlab.load(path)
    return program


def test_weights_are_torchs_and_lie_where_they_were(saved: Callable[[str], Path]) -> None:
    path = saved("holder")
    program = _told(path)
    held = {node.name: node for _, node in program.each_node() if node.kind == "parameter"}
    expected = torch.jit.load(str(path))
    for name, tensor in {**dict(expected.named_parameters()), **dict(expected.named_buffers())}.items():
        if name == "again":
            continue
        value = held[name].value
        assert value is not None
        np.testing.assert_array_equal(value.array(), tensor.detach().numpy())
    assert held["turned"].attrs["role"] == "buffer"
    assert held["linear.weight"].attrs["role"] == "parameter"
    assert {held["again"].meta.get("tied_to"), held["linear.weight"].meta.get("tied_to")} == {None, "linear.weight"} or {
        held["again"].meta.get("tied_to"),
        held["linear.weight"].meta.get("tied_to"),
    } == {None, "again"}
    assert held["rate"].value is not None
    assert held["rate"].value.bytes() == b"0.5"
    assert held["shapes"].value is not None
    assert held["shapes"].value.bytes() == b"[(1, 2), (3, 4)]"


def test_reading_touches_no_weight(tmp_path: Path) -> None:
    path = tmp_path / "big.pt"
    torch.jit.script(nn.Linear(2000, 2000)).save(str(path))
    code = (
        "import sys, tracemalloc, graphlab; graphlab.load(sys.argv[1]); tracemalloc.start(); graphlab.load(sys.argv[1]);"
        "assert tracemalloc.get_traced_memory()[1] < 1 << 20, tracemalloc.get_traced_memory();"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_nodes_know_the_users_line(saved: Callable[[str], Path]) -> None:
    program = _told(saved("coin"))
    [draw] = [node for _, node in program.each_node() if node.op == "aten::rand"]
    frame = program.frame(draw)
    assert frame is not None
    assert (frame.file, frame.function) == (__file__, "forward")
    with open(__file__, encoding="utf-8") as stream:
        assert "# the coin" in stream.readlines()[frame.line - 1]
    assert draw.effects == ("random",)


def test_a_traces_nodes_have_the_python_stack_they_were_made_in(tmp_path: Path) -> None:
    path = tmp_path / "traced.pt"
    torch.jit.trace(Adds(), torch.ones(2)).save(str(path))
    program = _told(path)
    [node] = [node for _, node in program.each_node() if node.op == "aten::add"]
    stack = program.stack(node)
    assert [frame.function for frame in stack][:1] == ["forward"]
    assert stack[0].file == __file__


@pytest.mark.parametrize("name", ["coin", "hooked", "frozen", "one_of"])
def test_what_torch_loads_and_what_is_read_are_the_same_to_the_diff(name: str, saved: Callable[[str], Path]) -> None:
    path = saved(name)
    trusted = graphlab.load(path, trust=True)
    assert trusted.source.method == "jit.load"
    assert graphlab.diff(trusted, _told(path)).equal


def test_a_method_that_forward_does_not_call_is_a_signature_of_its_own(saved: Callable[[str], Path]) -> None:
    path = saved("holder")
    program = _told(path)
    assert list(program.signatures) == ["forward", "other"]
    assert [(slot.name, str(slot.type)) for slot in program.signatures["other"].inputs] == [("x", "Tensor"), ("y", "int")]
    assert graphlab.load(path, select="other").entry == "other"
    with pytest.raises(SelectError) as caught:
        graphlab.load(path, select="nothing")
    assert caught.value.names == ("forward", "other")


def test_a_module_that_packs_its_own_state_tells_what_it_unpacks(saved: Callable[[str], Path]) -> None:
    program = _told(saved("quantized"))
    held = {node.name: node for _, node in program.each_node() if node.kind == "parameter"}
    packed = held["0._packed_params._packed_params"].value
    assert packed is not None
    assert not packed.available


@pytest.mark.parametrize("save", ["_save_for_lite_interpreter", "save"])
def test_a_mobile_archive_is_read_like_any(tmp_path: Path, save: str) -> None:
    path = tmp_path / "model.ptl"
    getattr(torch.jit.script(Coin()), save)(str(path))
    assert _told(path).op_counts()["prim::Loop"] == 1


@pytest.mark.parametrize("name", ["coin", "hooked"])
def test_the_readers_contract_holds(name: str, saved: Callable[[str], Path]) -> None:
    check_reader(saved(name))


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def _write(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _with_code(tmp_path: Path, source: Path, body: str) -> Path:
    """The archive with another body for ``forward(self, x)``."""
    members = _members(source)
    [name] = [name for name in members if name.endswith("__torch__.py") or name.endswith("archive.py")] or [
        name for name in members if name.endswith(".py") and b"class Adds" in members[name]
    ]
    head, _, _ = members[name].decode().partition("  def forward")
    cls = head.partition("class ")[2].partition("(")[0]
    members[name] = f"{head}  def forward(self: __torch__.{cls},\n    x: Tensor) -> Tensor:\n{body}".encode()
    return _write(tmp_path / "changed.pt", members)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.pt"
    torch.jit.script(Adds()).save(str(path))
    return path


HOSTILE = {
    "an import": "    import os\n    return x\n",
    "a call of exec": "    exec('1')\n    return x\n",
    "a dunder": "    return x.__class__.__mro__\n",
    "a comprehension": "    return [y for y in (1,)]\n",
    "a lambda": "    return (lambda: x)()\n",
    "an f-string": "    return f'{x}'\n",
    "a walrus": "    return (y := x)\n",
    "brackets without end": "    return " + "(" * 5000 + "x" + ")" * 5000 + "\n",
    "a chain without end": "    return x" + ".a" * 20_000 + "\n",
    "a sum without end": "    return x" + " + x" * 20_000 + "\n",
    "signs without end": "    return " + "-" * 20_000 + "x\n",
    "elifs without end": "    if x:\n      pass\n" + "    elif x:\n      pass\n" * 5000 + "    return x\n",
    "choices without end": "    return " + "x if True else " * 3000 + "x\n",
    "a number without end": "    return " + "9" * 10_000 + "\n",
    "a constant that is not there": "    return CONSTANTS.c7\n",
    "a constant of no number": "    return CONSTANTS.c-1\n",
    "a module that is not there": "    return self.nothing\n",
    "a name that is not there": "    return y\n",
    "a return from a branch": "    if bool(x):\n      return x\n    else:\n      pass\n    return x\n",
    "null bytes": "    return x\0\n",
    "bad indentation": "    return x\n  return x\n      y\n",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_code_that_is_no_torchscript_is_refused_at_its_line(tmp_path: Path, plain: Path, body: str) -> None:
    path = _with_code(tmp_path, plain, body)
    refused: FormatError | None = None
    try:
        assert verify(graphlab.load(path)) == ()
    except FormatError as error:
        refused = error
    if refused is not None:
        assert str(path) in refused.asked
        assert refused.where is not None
        assert ".py" in refused.where


def test_methods_that_call_themselves_are_stored_once(tmp_path: Path, plain: Path) -> None:
    program = graphlab.load(_with_code(tmp_path, plain, "    return (self).forward(x, )\n"))
    assert list(program.graphs) == ["forward"]


def test_no_code_of_an_archive_runs(tmp_path: Path, plain: Path) -> None:
    mark = tmp_path / "ran"
    members = _members(plain)
    top = next(iter(members)).partition("/")[0]
    payload = f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode()
    for name in ("data.pkl", "constants.pkl", "code/__torch__.py.debug_pkl", "attributes.pkl", "bytecode.pkl"):
        changed = {**members, f"{top}/{name}": payload}
        with contextlib.suppress(GraphlabError):
            graphlab.load(_write(tmp_path / "evil.pt", changed))
        assert not mark.exists()
    for name in [name for name in members if name.endswith(".py")]:
        changed = {**members, name: f"import os\nos.system('touch {mark}')\n".encode() + members[name]}
        with contextlib.suppress(GraphlabError):
            graphlab.load(_write(tmp_path / "evil.pt", changed))
        assert not mark.exists()


def test_a_storage_that_is_too_short_is_named(tmp_path: Path, saved: Callable[[str], Path]) -> None:
    members = _members(saved("coin"))
    [name] = [name for name in members if name.endswith("data/0")]
    with pytest.raises(FormatError) as caught:
        graphlab.load(_write(tmp_path / "short.pt", {**members, name: b"1234"}))
    assert "storage '0'" in caught.value.found


def test_code_beyond_all_measure_is_refused(tmp_path: Path, plain: Path) -> None:
    members = _members(plain)
    name = next(name for name in members if name.endswith(".py"))
    path = _write(tmp_path / "bomb.pt", {**members, name: members[name] + b"#" * (40 << 20)})
    with pytest.raises(FormatError):
        graphlab.load(path)


def test_names_of_modules_that_python_reserves_are_read(tmp_path: Path) -> None:
    path = tmp_path / "reserved.pt"

    class Reserved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict({"class": nn.Linear(2, 2), "import": nn.ReLU()})

        def forward(self, x: Tensor) -> Tensor:
            for part in self.parts.values():
                x = part(x)
            return x

    torch.jit.script(Reserved()).save(str(path))
    assert "parts.class.forward" in _told(path).graphs


def test_an_operator_nobody_knows_is_kept_as_it_stands(tmp_path: Path, plain: Path) -> None:
    program = graphlab.load(_with_code(tmp_path, plain, '    y = ops.my_ops.twist(x, 3, mode="a")\n    return torch.relu(y)\n'))
    [node] = [node for _, node in program.each_node() if node.op == "my_ops::twist"]
    assert node.effects == ("opaque",)
    assert len(node.operands) == 3
    [after] = [node for _, node in program.each_node() if node.op == "aten::relu"]
    assert [str(type) for type in after.outputs] == ["Tensor"]


@pytest.mark.parametrize("body", ["torch.div(x, x)", "torch.div(x, 2)", "torch.div(x, 2.)", "torch.div_(x, x)", "torch.gelu(x)"])
def test_what_an_older_operator_did_is_written_out_as_torch_does(tmp_path: Path, plain: Path, jit_nodes: Any, body: str) -> None:
    members = _members(_with_code(tmp_path, plain, f"    return {body}\n"))
    old = _write(tmp_path / "old.pt", {name: b"2\n" if name.endswith("/version") else data for name, data in members.items()})
    [nodes] = Oracle(old, jit_nodes).graphs.values()
    assert _kinds(_told(old)) == {"forward": Counter(node.kind() for node in nodes)}


def test_an_archive_of_2019_is_read(tmp_path: Path) -> None:
    weight = np.arange(4, dtype=np.float32)
    model = {
        "protoVersion": "1",
        "producerName": "pytorch",
        "producerVersion": "1.0",
        "mainModule": {
            "name": "old",
            "torchscriptArena": {"key": "code/old.py"},
            "submodules": [
                {
                    "name": "fc",
                    "parameters": [{"name": "weight", "tensorId": "0"}, {"name": "seen", "tensorId": "0", "isBuffer": True}],
                    "torchscriptArena": {"key": "code/fc.py"},
                }
            ],
        },
        "tensors": [{"dims": ["2", "2"], "strides": ["2", "1"], "dataType": "FLOAT", "data": {"key": "tensors/0"}, "device": "cpu"}],
    }
    members = {
        "old/version": b"1\n",
        "old/model.json": json.dumps(model).encode(),
        "old/code/old.py": b"op_version_set = 0\ndef forward(self,\n    x: Tensor) -> Tensor:\n  return (self.fc).forward(x, )\n",
        "old/code/fc.py": b"op_version_set = 0\ndef forward(self,\n    x: Tensor) -> Tensor:\n  _0 = torch.t(self.weight)\n"
        b"  return torch.mm(torch.add(x, self.seen, alpha=1), _0)\n",
        "old/tensors/0": weight.tobytes(),
    }
    program = graphlab.load(_write(tmp_path / "old.pt", members))
    assert set(program.graphs) == {"forward", "fc.forward"}
    assert program.op_counts()["aten::mm"] == 1
    held = {node.name: node for _, node in program.each_node() if node.kind == "parameter"}
    assert held["fc.seen"].attrs["role"] == "buffer"
    value = held["fc.weight"].value
    assert value is not None
    np.testing.assert_array_equal(value.array(), weight.reshape(2, 2))


def test_matching_never_raises(tmp_path: Path) -> None:
    path = tmp_path / "cut.pt"
    path.write_bytes(b"PK\x03\x04" + b"\0" * 100)
    assert not script_archive.matches(File.open(path))
    assert not script_archive.matches(object())
