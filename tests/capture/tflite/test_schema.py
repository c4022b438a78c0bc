"""The tables of schema.txt against the classes that flatc made of TensorFlow's schema."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from graphlab.capture.tflite.schema import schema

pytestmark = pytest.mark.tensorflow

_FIELD = re.compile(r"^    def (\w+)\(self(?:, j)?\):\n(.*?)(?=^    def |^    # |\Z)", re.S | re.M)
_OURS = {"ModelMetadata", "SubGraphMetadata", "TensorMetadata", "AssociatedFile", "ConversionMetadata", "ConversionEnvironment"}
_DEPRECATED = {
    "SignatureDef.deprecated_tag",
    "ResizeBilinearOptions.new_height",
    "ResizeBilinearOptions.new_width",
}  # flatc leaves them out


def _theirs(fb: ModuleType) -> dict[str, type]:
    return {name: kind for name, kind in vars(fb).items() if isinstance(kind, type) and not (name.endswith("T") and name[:-1] in vars(fb))}


@cache
def _classes(fb: ModuleType) -> dict[str, str]:
    source = Path(str(fb.__file__)).read_text(encoding="utf-8")
    return dict(re.findall(r"^class (\w+)\(object\):\n(.*?)(?=^class |\Z)", source, re.S | re.M))


def _fields(fb: ModuleType, kind: str) -> dict[str, tuple[int, str]]:
    """Name without underscores, in lower case → (place in the vtable, how its value is read)."""
    found = {}
    for name, body in _FIELD.findall(_classes(fb)[kind]):
        offset = re.search(r"_tab\.Offset\((\d+)\)", body)
        plain = not name.endswith(("AsNumpy", "IsNone")) and (not name.endswith("Length") or "VectorLen" not in body)
        if offset and plain:
            found[name.lower()] = ((int(offset[1]) - 4) // 2, body)
    return found


def test_every_enumeration_and_union_has_the_names_and_numbers_of_tensorflow(fb: ModuleType) -> None:
    theirs = {name: kind for name, kind in _theirs(fb).items() if not hasattr(kind, "__slots__")}
    assert set(schema().names) == set(theirs)
    for name, kind in theirs.items():
        numbers = {key: value for key, value in vars(kind).items() if isinstance(value, int)}
        assert dict(zip(schema().names[name], range(len(numbers)), strict=True)) == numbers, name


def test_every_table_has_the_fields_of_tensorflow_at_their_places(fb: ModuleType) -> None:
    theirs = {name for name, kind in _theirs(fb).items() if hasattr(kind, "__slots__")}
    assert set(schema().tables) - _OURS == theirs
    for name in theirs:
        ours = {key.replace("_", ""): field.index for key, field in schema().tables[name].items() if f"{name}.{key}" not in _DEPRECATED}
        assert ours == {key: place for key, (place, _) in _fields(fb, name).items()}, name


def test_every_field_is_read_as_tensorflow_reads_it(fb: ModuleType) -> None:
    checked = 0
    for name in _theirs(fb):
        fields = _fields(fb, name)
        for key, field in schema().tables.get(name, {}).items():
            if f"{name}.{key}" in _DEPRECATED:
                continue
            body = fields[key.replace("_", "")][1]
            assert field.vector == ("_tab.Vector(" in body), f"{name}.{key}"
            if field.union:
                assert "_tab.Union(" in body, f"{name}.{key}"
            elif field.packed is None and field.type != "string":
                assert f"obj = {field.type}()" in body, f"{name}.{key}"
            elif field.type == "string":
                assert "_tab.String(" in body, f"{name}.{key}"
            else:
                assert f"number_types.{field.type.capitalize()}Flags" in body, f"{name}.{key}"
                if not field.vector:
                    default = re.findall(r"return (-?[\w.]+)$", body, re.M)[-1]
                    assert str(field.default) == default, f"{name}.{key}"
            checked += 1
    assert checked > 300
