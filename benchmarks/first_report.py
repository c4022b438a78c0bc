"""Cold start to the first report on a 12-layer encoder, against importing torch and ``torch.export`` alone.

The first report is what ``graphlab inspect`` prints before it compiles (``--no-compile`` ends there).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ratio import command, compare

MODEL = """
import torch
from torch import nn

model = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 12, enable_nested_tensor=False).eval()
example_inputs = (torch.randn(2, 16, 64),)
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.py"
        path.write_text(MODEL)
        alone = Path(folder) / "alone.py"
        alone.write_text(MODEL + "torch.export.export(model, example_inputs)\n")
        compare(
            "graphlab inspect encoder.py --no-compile vs import torch + torch.export",
            command([str(Path(sys.executable).with_name("graphlab")), "inspect", str(path), "--no-compile"]),
            command([sys.executable, str(alone)]),
            target=1.2,
            runs=5,
        )
