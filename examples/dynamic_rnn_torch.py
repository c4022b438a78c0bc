"""A recurrent module that decides at random, step by step, whether to use its cell.

    graphlab inspect examples/dynamic_rnn_torch.py

Only one of PyTorch's four ways to capture it tells the truth.
"""

import torch
from torch import nn


class DynamicRNN(nn.Module):
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = []
        for i in range(x.size(1)):
            if torch.rand(1) > 0.5:
                outputs.append(self.cell(x[:, i]))
        return torch.stack(outputs)


model = DynamicRNN(nn.Sequential(nn.Linear(8, 16), nn.Tanh()))
example_inputs = (torch.randn(2, 5, 8),)
