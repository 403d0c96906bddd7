"""Every test that asks for `path` runs on each compiled path and on the slow one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anychip.formats import compiled


@pytest.fixture(params=compiled.paths())
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    before = compiled.path()
    compiled.use(request.param)
    yield request.param
    compiled.use(before)
