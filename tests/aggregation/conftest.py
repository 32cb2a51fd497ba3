"""Aggregating platforms for the tests of this folder."""

from pathlib import Path

import pytest

from tests.aggregation.world import Worlds


@pytest.fixture
def worlds(tmp_path: Path) -> Worlds:
    return Worlds(tmp_path)
