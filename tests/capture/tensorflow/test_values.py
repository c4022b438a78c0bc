"""Types, attributes and constants, held against TensorFlow's own decoding."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from graphlab import TensorType, ValueUnavailable
from graphlab.capture.tensorflow import values
from graphlab.ir.values import OpaqueType

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


def test_every_type_number_has_tensorflows_name(tf: Any) -> None:
    from tensorflow.core.framework import types_pb2

    numbers = [n for n in types_pb2.DataType.values() if 0 < n < 100 and n in values.DTYPES]
    named = {}
    for number in numbers:
        try:
            named[number] = tf.dtypes.as_dtype(number).name
        except TypeError:  # in the message's enum, but no type of this TensorFlow's
            continue
    assert len(named) > 25
    assert {number: values.DTYPES[number] for number in named} == named
    assert set(values.DTYPES) == {n for n in types_pb2.DataType.values() if 0 < n < 100}


@pytest.mark.parametrize(
    "dtype",
    ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "complex64",
     "complex128", "bfloat16", "float8_e5m2", "float8_e4m3fn", "int4"],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_constants_of_every_type_are_tensorflows_own(tf: Any, dtype: str, shape: tuple[int, ...]) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    array = np.arange(1, 1 + int(np.prod(shape))).reshape(shape).astype(kind)
    proto = tf.make_tensor_proto(array)
    constant = values.constant(proto)
    assert constant.type == TensorType(dtype, shape)
    assert constant.bytes() == tf.make_ndarray(proto).tobytes() == array.tobytes()


def test_elements_given_one_by_one_repeat_the_last(tf: Any) -> None:
    from tensorflow.core.framework import tensor_pb2, types_pb2

    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1.0, 2.0])
    proto.tensor_shape.dim.add(size=4)
    np.testing.assert_array_equal(values.constant(proto).array(), tf.make_ndarray(proto))
    half = tensor_pb2.TensorProto(dtype=types_pb2.DT_BFLOAT16, half_val=[0x3F80])
    half.tensor_shape.dim.add(size=3)
    assert values.constant(half).bytes() == tf.make_ndarray(half).tobytes()


def test_no_elements_at_all_are_zeros() -> None:
    from tensorflow.core.framework import tensor_pb2, types_pb2

    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_INT64)
    proto.tensor_shape.dim.add(size=3)
    assert values.constant(proto).array().tolist() == [0, 0, 0]


def test_complex_elements_come_in_pairs(tf: Any) -> None:
    from tensorflow.core.framework import tensor_pb2, types_pb2

    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_COMPLEX64, scomplex_val=[1.0, 2.0, 3.0, 4.0])
    proto.tensor_shape.dim.add(size=2)
    np.testing.assert_array_equal(values.constant(proto).array(), tf.make_ndarray(proto))


def test_strings_are_text(tf: Any) -> None:
    assert values.constant(tf.make_tensor_proto("a'b")).bytes() == b'"a\'b"'
    assert values.constant(tf.make_tensor_proto(["a", "b"])).bytes() == b"['a', 'b']"
    assert values.constant(tf.make_tensor_proto(np.array([b"\xff"], object))).bytes() == b"['\\\\xff']"


def test_content_that_does_not_fit_its_shape_is_refused(tf: Any) -> None:
    proto = tf.make_tensor_proto([1.0, 2.0, 3.0])
    proto.tensor_content = proto.tensor_content[:-1]
    proto.tensor_shape.dim[0].size = 1_000_000_000_000
    with pytest.raises(ValueUnavailable, match="bytes for 1,000,000,000,000 elements"):
        values.constant(proto).bytes()


def test_handles_have_no_bytes() -> None:
    from tensorflow.core.framework import tensor_pb2, types_pb2

    constant = values.constant(tensor_pb2.TensorProto(dtype=types_pb2.DT_VARIANT))
    assert constant.type == OpaqueType("variant")
    with pytest.raises(ValueUnavailable):
        constant.bytes()


def test_attributes_become_plain_frozen_values(tf: Any) -> None:
    from tensorflow.core.framework import attr_value_pb2

    concrete = tf.function(lambda x: tf.nn.conv2d(x, tf.ones([1, 1, 3, 3]), [1, 2, 2, 1], "SAME")).get_concrete_function(
        tf.TensorSpec([1, 4, 4, 3])
    )
    (conv,) = [node for node in concrete.graph.as_graph_def().node if node.op == "Conv2D"]
    attrs = {key: values.attr_value(value) for key, value in conv.attr.items()}
    assert attrs["strides"] == (1, 2, 2, 1)
    assert (attrs["T"], attrs["padding"], attrs["data_format"], attrs["use_cudnn_on_gpu"]) == ("float32", "SAME", "NHWC", True)
    assert attrs["explicit_paddings"] == ()
    assert values.attr_value(attr_value_pb2.AttrValue(f=1e-5)) == 1e-5
    assert values.attr_value(attr_value_pb2.AttrValue(s=b"\xff\x00")) == b"\xff\x00"
    assert all(hash(value) is not None for value in attrs.values())


def test_an_unknown_rank_is_told_from_a_scalar(tf: Any) -> None:
    assert values.shape_dims(tf.TensorShape(None).as_proto()) is None
    assert values.shape_dims(tf.TensorShape([]).as_proto()) == ()
    assert values.shape_dims(tf.TensorShape([None, 3]).as_proto()) == (None, 3)
