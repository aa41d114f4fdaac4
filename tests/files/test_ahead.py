"""What is done at once ends, or says the first thing that went wrong."""

from __future__ import annotations

from threading import Event

import pytest

from exod.files.ahead import done_at_once


def test_what_was_begun_ends_and_nothing_else_begins_after_an_error() -> None:
    begun, failed, ended = Event(), Event(), []

    def fails() -> None:
        failed.set()
        raise ValueError("first")

    def fails_later() -> None:
        assert begun.wait(10)
        fails()

    def goes_on() -> None:
        begun.set()
        assert failed.wait(10)
        ended.append("second")

    def never() -> None:
        ended.append("third")

    with pytest.raises(ValueError, match="first"):
        done_at_once([fails, never], threads=1)
    failed.clear()
    with pytest.raises(ValueError, match="first"):
        done_at_once([fails_later, goes_on], threads=2)
    assert ended == ["second"]
