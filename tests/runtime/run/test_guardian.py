"""The process that ends what a killed `run` leaves: also what it was starting at that moment."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEPS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def variable() -> str:
    """One that no other process has."""
    return f"DAPR_STATE_RUN={uuid.uuid4()}"


@pytest.fixture
def child(variable: str) -> Iterator[subprocess.Popen[bytes]]:
    """It lives for as long as nobody ends it."""
    name, _, value = variable.partition("=")
    with subprocess.Popen(SLEEPS, env={name: value}, process_group=0, stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


def guard(told: bytes, variable: str) -> int:
    """What the guardian's end is, if that was all that it was told."""
    words = [sys.executable, "-m", "dapr_state.runtime.run.guardian", variable]
    return subprocess.run(words, input=told, timeout=30, check=False).returncode


def test_one_that_was_being_started_is_ended(variable: str, child: subprocess.Popen[bytes]) -> None:
    """Its number was never told: `run` was killed between the start and the word of it."""
    assert guard(b"?\n", variable) == 0
    assert child.wait(10) != 0


def test_one_that_cannot_be_started_is_waited_for_a_moment(variable: str) -> None:
    """The guardian ends, though there is nothing to end."""
    assert guard(b"?\n", variable) == 0


def test_others_with_the_variable_are_left_alone(variable: str, child: subprocess.Popen[bytes]) -> None:
    """What the application has started for good outlives it, as it outlives an ordinary end."""
    assert guard(b"?\n+999999999\n!\n-999999999\n", variable) == 0
    assert child.poll() is None
