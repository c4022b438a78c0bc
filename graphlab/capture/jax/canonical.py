"""The ONNX operator of an equation, where its parameters decide."""

from __future__ import annotations

from jax.extend.core import JaxprEqn

from graphlab.capture.canonical import convolution, dot, logic


def canonical(eqn: JaxprEqn) -> str | None:
    """``None`` where there is none, or where the primitive alone tells."""
    name, params = eqn.primitive.name, eqn.params
    if name in ("and", "or", "xor", "not"):
        return logic(name, str(eqn.invars[0].aval.dtype))
    if name == "dot_general":
        contracted, batch = params["dimension_numbers"]
        return dot((eqn.invars[0].aval.ndim, eqn.invars[1].aval.ndim), batch, contracted)
    if name == "conv_general_dilated":
        dims = params["dimension_numbers"]
        return convolution(dims.lhs_spec, dims.rhs_spec, dims.out_spec, params["batch_group_count"], params["lhs_dilation"])
    if name == "round":
        return "Round" if getattr(params["rounding_method"], "name", "") == "TO_NEAREST_EVEN" else None
    return None
