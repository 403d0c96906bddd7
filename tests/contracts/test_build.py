"""What is compiled is built where it is looked for."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("asked", ["core", "anychip.arithmetic.kernels.core"])
def test_the_core_has_one_file_name_however_it_is_asked_for(asked: str) -> None:
    """An optional part that lies under another name than it is copied from would be left out in silence."""
    dist = pytest.importorskip("setuptools.dist")
    spec = importlib.util.spec_from_file_location("anychip_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert Path(module.Build(dist.Distribution()).get_ext_filename(asked)).name == "core.so"
