"""What holds for every test: how long an example takes on a busy machine is no finding."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="module")
def _device_memory_is_freed() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """The model that one file recorded last takes no memory of the device in the next file."""
    yield
    last_model = sys.modules.get("anychip.frontends.torch.last_model")
    if last_model is not None:
        last_model.let_go()
        gc.collect()
