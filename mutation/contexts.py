"""A pytest plugin: coverage knows of each line which test ran it, property tests and fixtures included."""

from collections.abc import Iterator

import coverage
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """What runs meanwhile is this test's; hypothesis calls it from functions of other names, which coverage takes."""
    running = coverage.Coverage.current()
    if running is not None and isinstance(item, pytest.Function):
        running.switch_context(f"{item.module.__name__}.{item.originalname}")
    return (yield)
