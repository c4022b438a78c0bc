"""Leaving a model as it was found."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from graphlab.capture.torch.examples import SEED


@contextmanager
def unchanged(model: object) -> Iterator[None]:
    """Keeps a model's buffers, modes and attributes, and torch's random state, while torch runs or traces it.

    Random draws inside start from one seed, so that a capture gives the same graph every time.
    """
    modules = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    held = [(module, module.training, frozenset(vars(module))) for module in modules]
    buffers = [(buffer, buffer.detach().clone()) for module in modules for buffer in module.buffers(recurse=False) if not buffer.is_meta]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
            for module, training, names in held:
                module.training = training
                for name in vars(module).keys() - names:  # what a tracer hung on it
                    vars(module).pop(name)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps torch's warnings, its log and what it prints while it traces off the screen; failures are raised anyway."""
    logger = logging.getLogger("torch")
    level = logger.level
    children = {name: each for name, each in logging.root.manager.loggerDict.items() if name.startswith("torch.")}
    levels = {each: each.level for each in children.values() if isinstance(each, logging.Logger)}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            for each in (logger, *levels):
                each.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            logger.setLevel(level)
            for each, before in levels.items():
                each.setLevel(before)
