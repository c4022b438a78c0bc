"""Reader of Keras models: ``.keras`` archives, HDF5 files of Keras 1 to 3, TensorFlow.js layers models, configs as JSON.

A layer's code is never looked up or run: not a custom class, not the bytecode of a Lambda.
"""

from __future__ import annotations

from typing import Any

from graphlab.capture.archive import Archive
from graphlab.capture.file import File
from graphlab.capture.hdf5 import SIGNATURE, Hdf5
from graphlab.capture.keras.config import Model, Parser, parse_json
from graphlab.capture.keras.graph import Builder
from graphlab.capture.keras.tfjs import is_layers_model, manifest_weights
from graphlab.capture.keras.weights import Store, by_name, from_groups, from_legacy
from graphlab.capture.missing import missing_data
from graphlab.capture.select import chosen
from graphlab.errors import FormatError
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.program import Program, Source
from graphlab.ir.vocabulary.keras import KNOWN

READS = "Keras models (.keras, .h5, TensorFlow.js layers models, model.to_json())"

_ZIP = b"PK\x03\x04"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_JSON_LIMIT = 64 << 20
_UNPACKED = 1 << 30  # bytes of a weights file that somebody has compressed
CODE = "python-code"
"""Kind of a ``Source.notes``: a layer holds Python bytecode, which graphlab does not read."""


def matches(target: object) -> bool:
    if not isinstance(target, File):
        return False
    if target.is_dir:
        return target.has(_CONFIG) and target.has(_METADATA)
    if target.head.startswith(_ZIP):
        try:
            archive = Archive.open(target)
        except FormatError:
            return False
        return _CONFIG in archive and _METADATA in archive
    if SIGNATURE in target.head:  # within the first 4 KiB: it may stand behind a block of the user's own
        return target.head.find(SIGNATURE) in (0, 512, 1024, 2048)
    return is_layers_model(target)


def read(file: File, *, select: str | None = None) -> Program:
    """The layer graph. ``select`` names a model within the model to enter by.

    Raises:
        FormatError: it is damaged, or holds weights without a model.
        SelectError: no model of that name is in it.
    """
    if file.is_dir or file.head.startswith(_ZIP):
        return _saved(file, select)
    if SIGNATURE in file.head:
        return _hdf5(file, select)
    return _json(file, select)


def _saved(file: File, select: str | None) -> Program:
    """What ``model.save`` of Keras 3 writes: an archive, or a directory of the same files."""
    archive = None if file.is_dir else Archive.open(file)

    def member(name: str) -> File | None:
        if archive is not None:
            return archive.file(name, limit=_UNPACKED) if name in archive else None
        return file.entry(name) if file.has(name) else None

    def described(name: str) -> dict[str, Any]:
        found = member(name)
        if found is None:
            raise FormatError(f"read {file.name}", found=f"it holds no {name}", do="save the model again", where=name)
        return _object(parse_json(found.read(limit=_JSON_LIMIT), file, name), file, name)

    parser = Parser(file, KNOWN)
    given, metadata = described(_CONFIG), described(_METADATA)
    model = parser.model(given)
    weights = member(_WEIGHTS)
    store = from_groups(model, None if weights is None else Hdf5(weights).root)
    notes = list(missing_data({} if weights else {_WEIGHTS: (None, f"it holds no {_WEIGHTS}")}))
    training = parser.frozen(given.get("compile_config"), "compile_config")
    return _program(file, model, store, parser, "keras archive", metadata.get("keras_version"), training, notes, select)


def _hdf5(file: File, select: str | None) -> Program:
    root = Hdf5(file).root
    attributes = root.attributes
    text = attributes.get("model_config")
    if not isinstance(text, str):
        found = "weights of Keras layers without their model" if "layer_names" in attributes or "layers" in root.links else "no Keras model"
        raise FormatError(
            f"read {file.name}",
            found=f"it is an HDF5 file that holds {found} (no model_config)",
            do="save the whole model: model.save('model.keras')",
            where="model_config",
        )
    given = _object(parse_json(text, file, "model_config"), file, "model_config")
    parser = Parser(file, KNOWN)
    model = parser.model(given)
    held = root.group("model_weights")
    store = Store() if held is None else from_legacy(model, held)
    training = attributes.get("training_config")
    compiled = parser.frozen(parse_json(training, file, "training_config"), "training_config") if isinstance(training, str) else None
    notes = list(missing_data({"model_weights": (None, "it holds no group 'model_weights'")} if held is None else {}))
    return _program(file, model, store, parser, "keras h5", attributes.get("keras_version"), compiled, notes, select)


def _json(file: File, select: str | None) -> Program:
    given = _object(parse_json(file.read(limit=_JSON_LIMIT), file, "JSON"), file, "JSON")
    topology = given.get("modelTopology")
    if topology is None:  # model.to_json()
        parser = Parser(file, KNOWN)
        return _program(file, parser.model(given), Store(), parser, "keras json", given.get("keras_version"), None, [], select)
    topology = _object(topology, file, "modelTopology")
    config = topology.get("model_config", topology)
    if isinstance(config, str):
        config = parse_json(config, file, "model_config")
    parser = Parser(file, KNOWN)
    model = parser.model(_object(config, file, "model_config"))
    weights, missing = manifest_weights(file, given.get("weightsManifest"))
    notes = list(missing_data({path: (count, f"the weights' file '{path}' is not beside it") for path, count in missing.items()}))
    training = parser.frozen(topology.get("training_config", given.get("trainingConfig")), "training_config")
    version = topology.get("keras_version") or given.get("generatedBy")
    return _program(file, model, by_name(model, weights), parser, "tfjs layers model", version, training, notes, select)


def _program(
    file: File, model: Model, store: Store, parser: Parser, format: str, version: object, training: Any,
    notes: list[FrozenDict[str, Any]], select: str | None,
) -> Program:  # fmt: skip
    builder = Builder(file)
    entry, signature = builder.build(model, store)
    for layer in parser.code:
        notes.append(FrozenDict({"kind": CODE, "text": f"'{layer}' holds Python bytecode, which graphlab neither reads nor runs"}))
    if model.opaque:
        text = f"the config of a {model.kind} says nothing of its layers: what it computes stands in its Python class alone"
        notes.append(FrozenDict({"kind": "no graph", "text": text}))
    if select is not None:
        names = tuple(builder.graphs)
        entry = names[chosen(names, select, file=file, what="models")]
    named = version if isinstance(version, str) else ""
    return Program(
        graphs=builder.graphs,
        entry=entry,
        source=Source(
            "keras", format, producer=named if not named[:1].isdigit() else f"keras {named}", path=file.name, notes=tuple(notes)
        ),
        signatures={model.name: signature},
        meta=frozen(training=training) if training else frozen(),
    )  # fmt: skip


def _object(value: Any, file: File, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise FormatError(f"read {file.name}", found=f"{what} is no JSON object", do="save the model again", where=what)


__all__ = ["CODE", "READS", "matches", "read"]
