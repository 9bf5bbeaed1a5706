"""Shapes in jaxtyping signatures are checked while the tests run."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # runs train with one thread; so do the tests

from jaxtyping import install_import_hook

CHECKED = ("harness.contracts.mixer", "harness.model.backbone", "harness.architectures")
install_import_hook(CHECKED, "beartype.beartype").__enter__()  # for the whole session

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

TINY = "standard:steps=4,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=2,width=8"


@pytest.fixture
def tiny_protocol() -> str:
    """A protocol that trains in a fraction of a second; its accuracies mean nothing."""
    return TINY
