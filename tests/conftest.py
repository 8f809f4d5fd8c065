"""What all tests share: property tests draw the same examples every time, messages are English."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from hexconv.translation import choose, language

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """A command that was asked for another language leaves none for the next test."""
    yield
    if language() != "en":
        choose("en")
