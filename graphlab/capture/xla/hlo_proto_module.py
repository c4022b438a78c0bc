"""One HloModuleProto: its header, its frame tables, its computations."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphlab.capture.proto import Parsed
from graphlab.capture.unique import Names
from graphlab.capture.xla.hlo_attributes import Attributes
from graphlab.capture.xla.hlo_build import NOWHERE, Builder, Computation
from graphlab.capture.xla.hlo_calls import resolve
from graphlab.capture.xla.hlo_metadata import Metadata
from graphlab.capture.xla.hlo_module import Module
from graphlab.capture.xla.hlo_proto_common import Pairs, frontend_text, metadata_text
from graphlab.capture.xla.hlo_proto_instruction import ASYNC, InstructionReader, plain
from graphlab.capture.xla.hlo_proto_shapes import ShapeTexts, join, shape_text
from graphlab.capture.xla.hlo_proto_shardings import sharding_text
from graphlab.capture.xla.hlo_proto_unknown import unknown_fields
from graphlab.errors import FormatError
from graphlab.ir.frames import Frame, FrameTable
from graphlab.ir.frozen import FrozenDict

_ALIASES = {0: "undefined-alias", 1: "may-alias", 2: "must-alias"}
_MAIN_THREAD = "main"


class Places:
    """Names the instruction that an error is about: places are numbered through the module, as its message has them."""

    def __init__(self, name: str, computations: Sequence[Any]) -> None:
        self._name = name
        self._computations = computations
        self.names: dict[int, str] = {}
        """Names of instructions that have been taken apart."""
        self.starts: list[int] = []
        at = 0
        for computation in computations:
            self.starts.append(at)
            at += len(computation.instructions)

    def wrong(self, found: str, pos: int) -> FormatError:
        where = self._name
        i = bisect_right(self.starts, pos) - 1
        if 0 <= i < len(self._computations):
            computation = self._computations[i]
            where = f"{self._name}: computation '{computation.name}'"
            if pos - self.starts[i] < len(computation.instructions):
                name = self.names.get(pos) or computation.instructions[pos - self.starts[i]].name
                where += f", instruction '{name}'"
        return FormatError(f"read {self._name} as an HLO message", found=found, do="check that the file is whole", where=where)


class ModuleReader:
    """Reads one module's message, which it takes apart: read it once."""

    def __init__(self, module: Any, parsed: Parsed, name: str, frames: FrameTable) -> None:
        self._module = module
        self._places = Places(name, module.computations)
        self._builder = Builder(self._places)
        self._metadata = Metadata(self._places, frames)
        self._shapes = ShapeTexts(self._places)
        self._by_id: dict[int, Any] = {}
        self._names: dict[int, str] = {}
        self._instructions = InstructionReader(module, parsed, name, self._metadata, self._names, self._places)
        self._sequences: Mapping[int, Any] = {}
        self._sugared: set[int] = set()

    def read(self, key: Callable[[str], str], config: Any = None) -> Module:
        """Read the module.

        Args:
            key: a computation's name → its graph's name in the Program.
            config: its HloModuleConfigProto, where there is one.

        Raises:
            FormatError: it is not sound.
        """
        module = self._module
        if not module.computations:
            raise self._places.wrong("a module without a computation", 0)
        taken = Names()
        for i, computation in enumerate(module.computations):
            if computation.id in self._by_id:
                raise self._places.wrong(f"a second computation of the id {computation.id}", self._places.starts[i])
            self._by_id[computation.id] = computation
            self._names[computation.id] = taken.take(computation.name or "computation")
        self._frames()
        if module.HasField("schedule"):
            self._sequences = module.schedule.sequences
        self._sugared = self._single_instructions()
        computations: dict[str, Computation] = {}
        for i in self._callees_first():
            computation = module.computations[i]
            if computation.id not in self._sugared:
                name = self._names[computation.id]
                computations[name] = self._computation(computation, name, key(name), self._places.starts[i])
        if not computations:
            raise self._places.wrong("a module whose computations all stand for one instruction of each other", 0)
        resolve(computations, self._places)
        entry = computations[self._entry(computations)]
        entry.is_entry = True
        meta: dict[str, Any] = {"module": module.name or "module", **self._instructions.attributes.of(self._header(config)).values}
        threads = {c.name: c.thread for c in computations.values() if c.thread is not None}
        if threads:
            meta["execution_threads"] = FrozenDict(threads)
        meta.update(self._beyond_text(config))
        return Module(module.name or "module", FrozenDict(meta), computations, entry)

    def _entry(self, computations: Mapping[str, Computation]) -> str:
        module = self._module
        by_id = self._names.get(module.entry_computation_id, "")
        if by_id in computations and (module.entry_computation_id or not module.entry_computation_name):
            return by_id
        named = next((name for id, name in self._names.items() if self._by_id[id].name == module.entry_computation_name), "")
        return named if named in computations else by_id if by_id in computations else list(computations)[-1]

    def _frames(self) -> None:
        table = self._module.stack_frame_index
        if not table.stack_frames:
            return
        files, functions = table.file_names, table.function_names
        places = {
            id: Frame(_at(files, at.file_name_id), max(0, at.line), max(0, at.column), _at(functions, at.function_name_id))
            for id, at in enumerate(table.file_locations, 1)
        }
        stacks = {id: (at.file_location_id, at.parent_frame_id) for id, at in enumerate(table.stack_frames, 1)}
        self._metadata.add_stacks(places, stacks, 0)

    def _single_instructions(self) -> set[int]:
        """Ids of the computations that HLO text leaves out: what an async-start runs, where that is one instruction."""
        asynchronous: set[int] = set()
        otherwise: set[int] = {self._module.entry_computation_id}
        for computation in self._module.computations:
            for instruction in computation.instructions:
                called = instruction.called_computation_ids
                if called:
                    (asynchronous if instruction.opcode in ASYNC else otherwise).update(called)
        return {id for id in asynchronous - otherwise if id in self._by_id and _is_single(self._by_id[id])}

    def _callees_first(self) -> list[int]:
        """Where the computations are in the message, in the order in which XLA prints them.

        The order is that of HloModule::MakeComputationPostOrder: from each computation that none uses, what it
        uses before itself, in the order of its instructions; all in the order they were made in, which their ids tell.
        """
        module = self._module
        index = {computation.id: i for i, computation in enumerate(module.computations)}
        uses: list[list[list[int]]] = []
        for computation in module.computations:
            found = [
                (x.id, [index[id] for id in called if id in index])
                for x in computation.instructions
                if (called := x.called_computation_ids)
            ]
            uses.append([called for _, called in sorted(found)])
        used = {i for lists in uses for called in lists for i in called}
        order: list[int] = []
        seen: set[int] = set()
        made = sorted(range(len(uses)), key=lambda i: module.computations[i].id)
        for start in (*(i for i in made if i not in used), *made):  # the latter: each in a circle, which is refused later
            if start in seen:
                continue
            seen.add(start)
            path = [(start, iter(uses[start]))]
            while path:
                at, rest = path[-1]
                called = next(rest, None)
                if called is None:
                    order.append(at)
                    path.pop()
                    continue
                for one in reversed(called):
                    if one not in seen:
                        seen.add(one)
                        path.append((one, iter(uses[one])))
        return order

    def _computation(self, computation: Any, name: str, key: str, start: int) -> Computation:
        body = self._builder.start()
        ids: dict[int, str] = {}
        wrapped: dict[int, Any] = {}  # an asynchronous operation's id → the instruction it stands for
        taken = Names()
        instructions, places = computation.instructions, self._places
        for i in self._order(computation, start):
            instruction, pos = instructions[i], start + i
            id, opcode = instruction.id, instruction.opcode
            if id in ids:
                raise places.wrong(f"a second instruction of the id {id} in one computation", pos)
            if not opcode:
                raise places.wrong("an instruction without an operation", pos)
            if not instruction.HasField("shape"):
                raise places.wrong("an instruction without a shape", pos)
            operands = self._above(instruction.operand_ids, ids, pos, "operand")
            places.names[pos] = node = taken.take(instruction.name or opcode)
            if opcode in ASYNC:
                wrapped[id] = self._wrapped(instruction, opcode, wrapped)
            self._add(node, pos, opcode, operands, instruction, ids, wrapped.get(id))
            ids[id] = node
        root = ids.get(computation.root_id)
        if root is None:
            raise places.wrong(f"the root id {computation.root_id}, which no instruction of the computation has", start)
        body.root = root
        made = self._builder.finish(name, key, start)
        made.thread = computation.execution_thread if computation.execution_thread not in ("", _MAIN_THREAD) else None
        return made

    def _order(self, computation: Any, start: int) -> Sequence[int]:
        """Where the instructions are in the message, in the order in which they run where that is scheduled."""
        count = len(computation.instructions)
        sequence = self._sequences.get(computation.id) if computation.id in self._sequences else None
        if sequence is None or not sequence.instruction_ids:
            return range(count)
        at = {instruction.id: i for i, instruction in enumerate(computation.instructions)}
        order = [at.get(id, -1) for id in sequence.instruction_ids]
        if len(set(order)) != count or len(order) != count or -1 in order:
            raise self._places.wrong("a schedule that does not have each instruction of the computation once", start)
        return order

    def _above(self, wanted: Sequence[int], ids: Mapping[int, str], pos: int, what: str) -> list[str]:
        try:
            return [ids[id] for id in wanted]
        except KeyError as error:
            raise self._places.wrong(f"the {what} id {error.args[0]}, which no instruction above it in this computation has", pos) from None

    def _wrapped(self, instruction: Any, opcode: str, wrapped: Mapping[int, Any]) -> Any:
        """The instruction that an asynchronous operation stands for, where HLO text writes it in its place."""
        if opcode == "async-start":
            called = instruction.called_computation_ids
            return _root(self._by_id[called[0]]) if len(called) == 1 and called[0] in self._sugared else None
        return next((wrapped.get(id) for id in instruction.operand_ids[:1]), None)

    def _add(
        self, name: str, pos: int, opcode: str, operands: list[str], instruction: Any, ids: Mapping[int, str], inner: Any
    ) -> None:  # fmt: skip
        reader, types = self._instructions, self._builder.body.types
        types_in = [types[id] for id in operands]
        outputs = self._shapes.outputs(instruction.shape, pos)
        origin = reader.origin(instruction.metadata) if instruction.HasField("metadata") else NOWHERE
        before, called_ids = instruction.control_predecessor_ids, instruction.called_computation_ids
        after = tuple(self._above(before, ids, pos, "control predecessor")) if before else ()
        called = reader.called(opcode, called_ids, types_in, pos) if called_ids else ()
        index, value, scalar = 0, None, None
        if opcode == "parameter":
            index = instruction.parameter_number
            instruction.ClearField("parameter_number")
            if index < 0:
                raise self._places.wrong(f"the parameter number {index}", pos)
        elif opcode == "constant":
            value, scalar = reader.constant(instruction, outputs[0])
        if inner is not None:
            attributes, more = reader.started(instruction, inner, types_in), None
            called = reader.called(inner.opcode, inner.called_computation_ids, types_in, pos) if opcode == "async-start" else ()
            opcode = inner.opcode + ASYNC[opcode]
        else:
            traits = reader.traits(instruction, opcode, types_in)
            attributes, more = traits.attributes, traits.more
        if called or after:
            attributes = Attributes(attributes.values, called, after, attributes.sharding, attributes.debug)
        self._builder.add(
            name, pos, opcode, operands, outputs=outputs, attributes=attributes, origin=origin, index=index, value=value, scalar=scalar
        )
        if more:
            data = self._builder.body.nodes[-1][1]
            data["meta"] = FrozenDict({**data.get("meta", {}), "unknown_fields": more})

    def _header(self, config: Any) -> Pairs:
        """What HLO text has behind the module's name."""
        module = self._module
        pairs: Pairs = []
        if module.HasField("schedule"):
            pairs.append(("is_scheduled", "true"))
        if module.input_output_alias.entries:
            entries = (
                f"{_set(e.output_shape_index)}: ({e.parameter_number}, {_set(e.parameter_shape_index)}, {_ALIASES.get(e.kind, e.kind)})"
                for e in module.input_output_alias.entries
            )
            pairs.append(("input_output_alias", f"{{ {', '.join(entries)} }}"))
        if module.buffer_donor.entries:
            donors = (f"({e.parameter_number}, {_set(e.parameter_shape_index)})" for e in module.buffer_donor.entries)
            pairs.append(("buffer_donor", f"{{ {', '.join(donors)} }}"))
        if config is not None and config.alias_passthrough_params:
            pairs.append(("alias_passthrough_params", "true"))
        layout = config.entry_computation_layout if config is not None and config.HasField("entry_computation_layout") else None
        if layout is None and module.HasField("host_program_shape"):
            layout = module.host_program_shape
        if layout is not None:
            shapes = ", ".join(shape_text(shape) for shape in layout.parameters)
            pairs.append(("entry_computation_layout", f"{{({shapes})->{shape_text(layout.result)}}}"))
        if config is not None:
            for name in ("allow_spmd_sharding_propagation_to_parameters", "allow_spmd_sharding_propagation_to_output"):
                flags = getattr(config, name)
                if any(flags):
                    pairs.append((name, f"{{{','.join('true' if flag else 'false' for flag in flags)}}}"))
            for name in ("replica_count", "num_partitions"):
                if getattr(config, name) > 1:
                    pairs.append((name, str(getattr(config, name))))
        if module.frontend_attributes.map:
            pairs.append(("frontend_attributes", frontend_text(module.frontend_attributes)))
        return pairs

    def _beyond_text(self, config: Any) -> dict[str, Any]:
        """What the message says of the module and HLO text does not."""
        module = self._module
        found: dict[str, Any] = {}
        for name in ("is_dynamic", "use_auto_spmd_partitioning", "device_type"):
            if value := getattr(module, name):
                found[name] = value
        if module.HasField("spmd_output_sharding"):
            found["spmd_output_sharding"] = sharding_text(module.spmd_output_sharding, metadata_text)
        if module.spmd_parameters_shardings:
            found["spmd_parameters_shardings"] = tuple(sharding_text(one, metadata_text) for one in module.spmd_parameters_shardings)
        devices = tuple(tuple(one.replica_device_ids) for one in module.device_assignment.computation_devices)
        if devices not in ((), ((0,),)):
            found["device_assignment"] = devices  # a row for each partition, a device for each replica
        if module.dynamic_parameter_binding.entries:
            found["dynamic_parameter_binding"] = plain(module.dynamic_parameter_binding)
        for name in ("cross_program_prefetches", "profile_info"):
            if values := getattr(module, name):
                found[name] = tuple(plain(value) for value in values)
        if config is not None:
            for name in ("use_spmd_partitioning", "use_shardy_partitioner", "device_type"):
                if value := getattr(config, name):
                    found[name] = value
        if more := unknown_fields(module):
            found["unknown_fields"] = more
        return found


def _set(values: Sequence[int]) -> str:
    return f"{{{join(values)}}}"


def _at(table: Sequence[str], id: int) -> str:
    return table[id - 1] if 0 < id <= len(table) else ""


def _is_single(computation: Any) -> bool:
    return all(instruction.opcode == "parameter" or instruction.id == computation.root_id for instruction in computation.instructions) and (
        _root(computation) is not None
    )


def _root(computation: Any) -> Any:
    return next((instruction for instruction in computation.instructions if instruction.id == computation.root_id), None)
