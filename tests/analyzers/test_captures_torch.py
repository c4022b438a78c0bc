"""The analyzers on what torch really captured."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

import graphlab  # noqa: E402
from graphlab.analyzers import constant_folding, control_flow, fidelity, size  # noqa: E402
from graphlab.ir.program import Program  # noqa: E402


class DynamicRNN(torch.nn.Module):  # type: ignore[name-defined]
    """A loop over a dimension with a coin in it."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = torch.nn.Linear(8, 8)

    def forward(self, x):  # type: ignore[no-untyped-def]
        outputs = []
        for i in range(x.size(1)):  # the loop
            if torch.rand(1) > 0.5:  # the coin
                outputs.append(self.cell(x[:, i]))
        return torch.stack(outputs)


def line(text: str) -> int:
    """The number of the line in this file that ends so."""
    with open(__file__) as lines:
        return next(n for n, one in enumerate(lines, 1) if one.rstrip().endswith(f"# {text}"))


@pytest.fixture(scope="module")
def scripted() -> Program:
    return graphlab.capture(DynamicRNN(), (torch.ones(2, 5, 8),), method="jit.script")


def test_script_keeps_the_loop_and_the_coin_at_their_lines(scripted: Program) -> None:
    loop, coin = control_flow.analyze(scripted).constructs
    assert (loop.form, loop.decided_by, str(loop.trip_count)) == ("loop", "shape", "dim 1 of x")
    assert (coin.form, coin.decided_by, coin.nesting) == ("conditional", "random", ((loop.node,),))
    assert loop.where is not None
    assert coin.where is not None
    assert (loop.where.line, coin.where.line) == (line("the loop"), line("the coin"))
    assert [scripted.node(cause.ref).op for cause in coin.causes] == ["aten::rand"]


def test_the_list_that_grows_is_not_taken_for_a_constant(scripted: Program) -> None:
    folded = {ref for part in constant_folding.analyze(scripted).foldable for ref in part.nodes}
    assert not [ref for ref in folded if scripted.node(ref).op == "aten::stack"]


def test_parameters_are_counted_as_torch_counts_them(scripted: Program) -> None:
    result = size.analyze(scripted)
    parameters = list(DynamicRNN().parameters())
    assert result.parameters == len(parameters)
    assert result.parameter_elements == sum(p.numel() for p in parameters)


def test_a_trace_is_told_to_have_lost_both(scripted: Program) -> None:
    torch.manual_seed(0)  # draws on both sides of one half: the trace holds some iterations
    traced = graphlab.capture(DynamicRNN(), (torch.ones(2, 5, 8),), method="jit.trace")
    lost = fidelity.compare(traced, scripted)
    assert {(f.code, f.where.line) for f in lost.findings if f.where} == {
        ("GL103", line("the loop")), ("GL103", line("the coin")), ("GL102", line("the coin")),
    }  # fmt: skip
    warned = [f for f in fidelity.analyze(traced).findings if f.code == "GL104"]
    assert [f.where.line for f in warned if f.where] == [line("the coin")]


class Reads(torch.nn.Module):  # type: ignore[name-defined]
    """Decides by tensors that the host reads."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("c", torch.tensor(3.0))

    def forward(self, x):  # type: ignore[no-untyped-def]
        if x.sum() > 0:  # tensor as bool
            x = x + 1
        if x.max().item() > 2:  # item
            x = x * 2
        while x.norm() > 1:  # loop
            x = x / 2
        if self.c > 10:  # buffer
            x = x - 1
        return x


def test_values_read_by_the_host_are_the_inputs_or_the_states() -> None:
    found = control_flow.analyze(graphlab.capture(Reads(), (torch.ones(2),), method="jit.script"))
    by_line = {c.where.line: c.decided_by for c in found.constructs if c.where}
    assert by_line == {line("tensor as bool"): "input", line("item"): "input", line("loop"): "input", line("buffer"): "state"}
    said = {f.where.line: (f.code, f.do) for f in found.findings if f.where}
    assert {code for code, _ in said.values()} == {"GL202", "GL205"}
    assert "iterations" in said[line("loop")][1]
    assert "one side" in said[line("item")][1]


class Same(torch.nn.Module):  # type: ignore[name-defined]
    """One layer, used below in two places that only the module tells apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x):  # type: ignore[no-untyped-def]
        return torch.relu(self.layer(x))


class Gate(torch.nn.Module):  # type: ignore[name-defined]
    """A branch whose sides are calls of submodules."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = Same(), Same()

    def forward(self, x):  # type: ignore[no-untyped-def]
        if x.sum() > 0:  # the gate
            return self.a(x)
        return self.b(x)


def test_a_lost_side_made_of_submodules_is_told_with_its_parameters() -> None:
    inputs = (torch.ones(1, 2),)
    kept = graphlab.capture(Gate(), inputs, method="jit.script")
    (lost,) = fidelity.compare(graphlab.capture(Gate(), inputs, method="jit.trace"), kept).lost
    assert (lost.construct.where and lost.construct.where.line, lost.kept, lost.times) == (line("the gate"), ("then",), 1)
    assert set(lost.parameters) == {"b.layer.weight", "b.layer.bias"}


@pytest.mark.parametrize("method", ["fx", "jit.trace"])
def test_a_branch_on_a_buffer_that_tracing_decided_is_told(method: str) -> None:
    class OnBuffer(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("c", torch.tensor(3.0))

        def forward(self, x):  # type: ignore[no-untyped-def]
            if self.c > 10:  # on c
                x = x + 1
            return x * 2

    inputs = (torch.ones(2),)
    reference = graphlab.capture(OnBuffer(), inputs, method="jit.script")
    (finding,) = fidelity.compare(graphlab.capture(OnBuffer(), inputs, method=method), reference).findings
    assert (finding.code, finding.where and finding.where.line) == ("GL103", line("on c"))


def test_modes_numbers_and_the_frameworks_own_branches_are_not_lost_by_tracing() -> None:
    class Plain(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.times = 3
            self.norm = torch.nn.BatchNorm1d(2)

        def forward(self, x):  # type: ignore[no-untyped-def]
            if self.training:
                x = x + 1
            if self.times > 2:
                x = x * 2
            return self.norm(x)

    inputs = (torch.ones(3, 2),)
    scripted = graphlab.capture(Plain().eval(), inputs, method="jit.script")
    assert control_flow.analyze(scripted).constructs
    assert fidelity.compare(graphlab.capture(Plain().eval(), inputs, method="jit.trace"), scripted).lost == ()


def test_an_argument_that_is_no_tensor_is_told_to_be_fixed() -> None:
    class Flag(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, x, double: bool):  # type: ignore[no-untyped-def]
            return x * 2 if double else x

    (finding,) = fidelity.analyze(graphlab.capture(Flag(), (torch.ones(2), True), method="export")).findings
    assert (finding.code, finding.message) == ("GL107", "argument 'double' is True at every run of this graph")
    assert fidelity.analyze(graphlab.capture(torch.nn.ReLU(), (torch.ones(2),), method="export")).findings == ()


class Tied(torch.nn.Module):  # type: ignore[name-defined]
    """An embedding that is the head as well, and batch norm with its buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(5, 3)
        self.norm = torch.nn.BatchNorm1d(3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x):  # type: ignore[no-untyped-def]
        return self.head(self.norm(self.embed(x)))


@pytest.mark.parametrize("method", ["export", "jit.script", "jit.trace"])
def test_tied_weights_count_once_and_buffers_apart(method: str, tmp_path: Path) -> None:
    model = Tied().eval()
    program = graphlab.capture(model, (torch.tensor([1, 2]),), method=method)
    graphlab.save(program, tmp_path / "m.graphlab")
    parameters = list(model.parameters())  # torch names a tied one once
    for one in (program, graphlab.load(tmp_path / "m.graphlab")):
        result = size.analyze(one)
        assert (result.parameters, result.parameter_elements) == (len(parameters), sum(p.numel() for p in parameters))
        # the trace holds no counter of batches, which eval mode does not use
        used = [b for name, b in model.named_buffers() if method != "jit.trace" or not name.endswith("num_batches_tracked")]
        assert (result.buffers, result.buffer_elements) == (len(used), sum(b.numel() for b in used))


def test_constants_that_are_no_tensors_have_no_bytes(scripted: Program) -> None:
    result = size.analyze(scripted)
    assert result.constants > 0
    assert result.constant_bytes == 0
    assert result.unsized == 0
