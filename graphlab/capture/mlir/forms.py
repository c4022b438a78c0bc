"""Operations' own syntax, all dialects together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphlab.capture.mlir import forms_builtin, forms_shardy, forms_stablehlo

if TYPE_CHECKING:
    from graphlab.capture.mlir.text import Form

FORMS: dict[str, Form] = {**forms_builtin.FORMS, **forms_stablehlo.FORMS, **forms_shardy.FORMS}
