"""The commands that show what a sidecar keeps, as they are typed: what they print, and what they cannot show."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.admin import Admin
from tests.support.client import item

if TYPE_CHECKING:
    from tests.support.sidecar import Sidecar


def command(sidecar: Sidecar, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "dapr_state", *words, "--port", str(sidecar.http_port)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, **more)


@pytest.fixture(autouse=True)
def _kept(writable: Sidecar, ordered: str) -> None:
    """Some keys in memory."""
    with writable.client() as client:
        client.save(
            ordered, item("cart-1", b'["apples"]'), item("cart-2", b"x" * 5000, metadata={"ttlInSeconds": "90"})
        )


def test_keys_are_a_table(writable: Sidecar) -> None:
    """Without colour where no terminal is; of a prefix if one is given."""
    done = command(writable, "keys", "--store", "memory")
    one = command(writable, "keys", "cart-1", "--store", "memory")
    none = command(writable, "keys", "none", "--store", "memory")

    head, first, second = done.stdout.splitlines()
    assert head.split() == ["KEY", "SIZE", "EXPIRES", "ETAG"]
    assert first.split()[:2] == ["cart-1", "10"]
    assert second.split()[:2] == ["cart-2", "5000"]
    assert second.split()[2] in {"1m", "2m"}
    assert "\033" not in done.stdout + done.stderr
    assert len(one.stdout.splitlines()) == 2
    assert (none.stdout, none.stderr, none.returncode) == ("", "no keys\n", 0)


def test_keys_are_lines_of_json_for_programs(writable: Sidecar) -> None:
    """As the API says them; a count is a number."""
    done = command(writable, "keys", "--store", "memory", "--json")

    assert [json.loads(line)["key"] for line in done.stdout.splitlines()] == ["cart-1", "cart-2"]
    assert command(writable, "keys", "--store", "memory", "--count").stdout == "2\n"
    assert json.loads(command(writable, "keys", "--store", "memory", "--count", "--json").stdout)["complete"]


def test_a_value_is_written_as_it_is_stored(writable: Sidecar) -> None:
    """Whole, however large, octet by octet."""
    octets = bytes(range(256)) * 10_000
    Admin(writable, "grpc").call("SaveEntry", store_name="memory", key="large", value=octets)
    argv = [sys.executable, "-m", "dapr_state", "get", "large", "--store", "memory", "--port", str(writable.http_port)]
    done = subprocess.run(argv, capture_output=True, check=True, timeout=30)

    assert done.stdout == octets
    assert command(writable, "get", "cart-1", "--store", "memory").stdout == '["apples"]'
    assert json.loads(command(writable, "get", "cart-1", "--store", "memory", "--json").stdout)["isJson"]


def test_a_watch_shows_what_happens(writable: Sidecar) -> None:
    """Line by line, as it happens."""
    argv = [sys.executable, "-m", "dapr_state", "watch", "cart", "--store", "memory", "--values", "--snapshot"]
    with subprocess.Popen(
        [*argv, "--port", str(writable.http_port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        shown = [running.stdout.readline() for _ in range(2)]
        with writable.client() as client:
            client.save("memory", item("cart-3", b"[1.10]"))
            client.delete("memory", "cart-3")
        shown += [running.stdout.readline() for _ in range(2)]
        running.terminate()

    assert [line.split()[-4:] for line in shown[:1]] == [["cart-1", "10", "octets", '["apples"]']]
    assert shown[2].split()[1:] == ["saved", "cart-3", "6", "octets", "[1.10]"]
    assert shown[3].split()[1:] == ["deleted", "cart-3"]


def test_actors_and_reminders_are_shown(writable: Sidecar) -> None:
    """Where there are none that is said, and no table."""
    Admin(writable, "grpc").call("SaveEntry", store_name="sqlite", space="ACTORS", key="Box||7||items", json="[]")
    of_type = command(writable, "actors", "Box")
    one = command(writable, "actors", "Box/7")

    assert of_type.stdout.splitlines()[1].split()[:2] == ["7", "no"]
    assert one.stdout.splitlines() == ["Box/7: not active", "state    items (2 octets)"]
    assert json.loads(command(writable, "actors", "Box/7", "--json").stdout)["active"] is False
    assert command(writable, "reminders").stderr == "no reminders\n"


def test_what_cannot_be_shown_is_said(writable: Sidecar) -> None:
    """In one line, with an exit code."""
    store = command(writable, "keys")
    unknown = command(writable, "keys", "--store", "none")
    missing = command(writable, "get", "none", "--store", "memory")
    argv = [sys.executable, "-m", "dapr_state", "keys", "--port", "1"]
    nobody = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)

    assert store.stderr == "dapr-state: which store? give --store: memory, redis, sqlite\n"
    assert unknown.stderr == "dapr-state: state store none is not found\n"
    assert missing.stderr == "dapr-state: key none of state store memory is not found\n"
    assert "no sidecar answers on port 1" in nobody.stderr
    assert {store.returncode, unknown.returncode, missing.returncode, nobody.returncode} == {1}


def test_keys_that_are_orders_to_a_terminal_are_quoted(writable: Sidecar) -> None:
    """Nobody's key moves a cursor."""
    Admin(writable, "grpc").call("SaveEntry", store_name="memory", key="\033[2Jgone", value=b"v")

    assert "\\x1b[2Jgone" in command(writable, "keys", "--store", "memory").stdout


def test_a_terminal_has_a_bold_head(writable: Sidecar) -> None:
    """And nothing else of colour."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "dapr_state", "keys", "--store", "memory", "--port", str(writable.http_port)]
    subprocess.run(argv, stdout=theirs, check=True, timeout=30)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)

    assert shown.startswith("\033[1mKEY")
    assert shown.count("\033") == 2
