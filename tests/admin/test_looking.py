"""The commands that show what a sidecar keeps, as they are typed: what they print, and what they cannot show."""

from __future__ import annotations

import json
import os
import pty
import socket
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.admin import Admin
from tests.support.client import item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.sidecar import Sidecar


def command(sidecar: Sidecar, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "dapr_state", *words, "--port", str(sidecar.http_port)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, **more)


@contextmanager
def cut_after(behind: int, octets: int) -> Iterator[int]:
    """The port of a proxy that ends each connection after so many octets of the answers."""

    class Cutting(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", behind)) as to:
                to.sendall(self.request.recv(65536))
                answer = b""
                while len(answer) < octets and (part := to.recv(octets - len(answer))):
                    answer += part
                self.request.sendall(answer)

    with serving(Cutting) as port:
        yield port


@contextmanager
def refusing() -> Iterator[int]:
    """The port of a sidecar that tells a watcher where he is, ends, and has another token then."""
    answers = iter([b'200 OK\r\n\r\nid: a.1\ndata: {"changes":[],"lost":false}\n\n', b"401 \r\n\r\nwrong token"])

    class Refusing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(b"HTTP/1.1 " + next(answers))

    with serving(Refusing) as port:
        yield port


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


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


def test_a_watch_needs_no_prefix_and_quotes_what_it_shows(writable: Sidecar) -> None:
    """Of all keys; neither a key nor a value is an order to a terminal."""
    argv = [sys.executable, "-m", "dapr_state", "watch", "--store", "memory", "--values", "--snapshot"]
    Admin(writable, "grpc").call("SaveEntry", store_name="memory", key="\x9b2Ja", json='"\x9b2J\u65e5"')
    with subprocess.Popen([*argv, "--port", str(writable.http_port)], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        shown = {running.stdout.readline().split(maxsplit=1)[1] for _ in range(3)}
        running.terminate()

    assert '\\x9b2Ja 9 octets "\\x9b2J\u65e5"\n' in shown


def test_letters_that_an_output_has_not_are_escaped(writable: Sidecar) -> None:
    """Where only ASCII goes, the others are told by their numbers; wide ones count for two elsewhere."""
    Admin(writable, "grpc").call("SaveEntry", store_name="memory", key="\u65e5\u672c", value=b"v")
    words = ("keys", "\u65e5", "--store", "memory")
    plain = command(writable, *words, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    wide = command(writable, *words, env={**os.environ, "PYTHONIOENCODING": "utf-8"}, encoding="utf-8")

    assert plain.stdout.splitlines()[1].startswith("\\u65e5\\u672c  1 ")
    assert [line.index("E") for line in wide.stdout.splitlines()[:1]] == [1]
    assert wide.stdout.splitlines()[1].startswith("\u65e5\u672c  1 ")


@pytest.mark.parametrize("words", [("keys", "--json"), ("keys",), ("get", "cart-2")])
def test_an_answer_that_is_cut_is_said(writable: Sidecar, words: tuple[str, ...]) -> None:
    """In one line; what is no sidecar, or no port, is said as well."""
    with writable.client() as client:
        client.save("memory", *(item(f"many-{number}", b"v") for number in range(2500)))
    with cut_after(writable.http_port, 2000) as port:
        argv = [sys.executable, "-m", "dapr_state", *words, "--store", "memory", "--port", str(port)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    port_of_none = {**os.environ, "DAPR_HTTP_PORT": "abc"}
    argv = [sys.executable, "-m", "dapr_state", "keys"]
    nothing = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, env=port_of_none)

    assert (done.stderr, done.returncode) == (
        f"dapr-state: the sidecar on port {port} has gone in the middle of its answer\n",
        1,
    )
    assert (nothing.stderr, nothing.returncode) == ("dapr-state: DAPR_HTTP_PORT is no port: abc\n", 1)


def test_a_watch_that_is_refused_ends() -> None:
    """Whatever it has seen before: only who has gone may come back."""
    argv = [sys.executable, "-m", "dapr_state", "watch", "--store", "memory"]
    with refusing() as port:
        done = subprocess.run([*argv, "--port", str(port)], capture_output=True, text=True, check=False, timeout=30)

    assert (done.stderr, done.returncode) == ("dapr-state: wrong token\n", 1)
