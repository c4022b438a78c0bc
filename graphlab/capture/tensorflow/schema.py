"""The messages of TensorFlow's graph files, as graphlab knows them: ``tensorflow.proto``."""

from __future__ import annotations

from pathlib import Path

from graphlab.capture import proto

SCHEMA = proto.load(Path(__file__).parent / "tensorflow.proto")
