"""For all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

TOGETHER = {"test_export.py": "exports", "test_export_segmenter.py": "exports"}
"""Files whose tests share what takes long to make; of other files, the tests of one stay together."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For several processes (`make test`, `-n 2`): who runs what."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(TOGETHER.get(item.path.name, item.path.stem)))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled networks of the tests, those of nodes in processes of their own too, stay out of the user's cache."""
    before = os.environ.get("SARTM_CACHE")
    os.environ["SARTM_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["SARTM_CACHE"]
    else:
        os.environ["SARTM_CACHE"] = before
