"""Writes ``script_schemas.txt`` from the operators of the torch that is installed.

python -m graphlab.capture.torch.script_schema_facts > graphlab/capture/torch/script_schemas.txt
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from graphlab.capture.torch.private import schema_names, schemas_of

DIALECTS = ("aten", "prim", "quantized", "_quantized", "mkldnn", "mkldnn_prepacked", "sparse", "c10d", "_c10d_functional", "profiler")

# What torchvision registers, whose operators stand in many models' code.
_TORCHVISION = """\
torchvision::deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, int stride_h, int stride_w, int pad_h, \
int pad_w, int dilation_h, int dilation_w, int groups, int offset_groups, bool use_mask) -> Tensor
torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor
torchvision::ps_roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio) \
-> (Tensor, Tensor)
torchvision::ps_roi_pool(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width) -> (Tensor, Tensor)
torchvision::roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, \
bool aligned) -> Tensor
torchvision::roi_pool(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width) -> (Tensor, Tensor)
"""


def lines() -> Iterator[str]:
    """A line a schema: operators sorted by name, overloads in the order in which torch tries them; torch's own tests left out."""
    names = {name for name in schema_names() if name.partition("::")[0] in DIALECTS and not name.startswith("aten::_test_")}
    for name in sorted(names):
        yield from schemas_of(name)
    yield from _TORCHVISION.splitlines()


if __name__ == "__main__":
    print(f"# torch {torch.__version__.partition('+')[0]}")
    print("\n".join(lines()))
