"""The three forms of a log line."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state import __version__
from dapr_state.observability import logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CREATED = 1_700_000_000.5


def _record(message: str, level: int = logging.INFO, scope: str = "dapr.runtime", **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord(scope, level, __file__, 1, message, (), None)
    record.created, record.relativeCreated = CREATED, 12_345
    if fields:
        record.fields = fields
    return record


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", getattr(request, "param", "UTC"))
        time.tzset()
        yield
    time.tzset()


def test_text() -> None:
    """Time, level and message first, then the other fields sorted; quotes where a value needs them."""
    line = logs.TextFormatter("my app", "vm").format(
        _record('say "hi"', component="s (state.redis/v1)", code=5, empty="")
    )

    assert line == (
        'time="2023-11-14T22:13:20.5Z" level=info msg="say \\"hi\\"" app_id="my app" code=5'
        f' component="s (state.redis/v1)" empty= instance=vm scope=dapr.runtime type=log ver={__version__}'
    )


def test_json() -> None:
    """One object with sorted keys, numbers as numbers."""
    line = logs.JsonFormatter("app", "vm").format(_record("caf\u00e9\n", logging.WARNING, code=5))

    assert line == (
        '{"app_id":"app","code":5,"instance":"vm","level":"warning","msg":"caf\u00e9\\n","scope":"dapr.runtime",'
        f'"time":"2023-11-14T22:13:20.5Z","type":"log","ver":"{__version__}"}}'
    )


@pytest.mark.parametrize(
    ("_zone", "shown"),
    [("UTC", "2023-11-14T22:13:20.5Z"), ("XYZ-05:30", "2023-11-15T03:43:20.5+05:30")],
    indirect=["_zone"],
)
@pytest.mark.usefixtures("_zone")
def test_time_is_local(shown: str) -> None:
    """The time has the zone of the machine, and no needless zeros."""
    line = logs.JsonFormatter("app", "vm").format(_record("x"))

    assert json.loads(line)["time"] == shown


@pytest.mark.parametrize(
    ("level", "start"),
    [
        (logging.DEBUG, "\x1b[37mDEBU\x1b[0m[0012] "),
        (logging.INFO, "\x1b[36mINFO\x1b[0m[0012] "),
        (logging.WARNING, "\x1b[33mWARN\x1b[0m[0012] "),
        (logging.ERROR, "\x1b[31mERRO\x1b[0m[0012] "),
        (logging.CRITICAL, "\x1b[31mFATA\x1b[0m[0012] "),
    ],
)
def test_terminal(level: int, start: str) -> None:
    """Four letters in the level's colour, seconds since the start, and the message with room for more."""
    line = logs.TerminalFormatter("app", "vm").format(_record("Component loaded", level))

    colour = start[:5]
    assert line == (
        f"{start}{'Component loaded':<44}  {colour}app_id\x1b[0m=app {colour}instance\x1b[0m=vm"
        f" {colour}scope\x1b[0m=dapr.runtime {colour}type\x1b[0m=log {colour}ver\x1b[0m={__version__}"
    )


def test_without_an_app_id_there_is_no_such_field() -> None:
    """An empty app id is left out."""
    assert "app_id" not in logs.TextFormatter("", "vm").format(_record("x"))


def test_a_traceback_stays_on_the_line() -> None:
    """An unexpected error is part of the message, so that one record is one line."""
    record = _record("failed", logging.ERROR)
    try:
        int("x")
    except ValueError:
        record.exc_info = sys.exc_info()

    line = logs.TextFormatter("app", "vm").format(record)

    assert line.count("\n") == 0
    assert re.search(r'msg="failed\\nTraceback .*ValueError: invalid literal ', line)


# What a client may write into a line: the end of one, a forged one, a colour, an octet that is not UTF-8
FORGED = 'k\r\nlevel=fatal msg="forged"\x1b[31m\x85\u2028\udcff\\'


def test_a_clients_text_forges_no_line_as_text() -> None:
    """What cannot be printed is escaped as Go escapes it, in messages and in fields."""
    line = logs.TextFormatter("app", "vm").format(_record(FORGED, agent=FORGED))

    shown = r'"k\r\nlevel=fatal msg=\"forged\"\x1b[31m\x85\u2028\xff\\"'
    assert f"msg={shown} agent={shown} " in line.replace("app_id=app ", "")
    assert line.isprintable()


def test_a_clients_text_forges_no_line_as_json() -> None:
    """It is one line, and valid: what is no character is the one that stands for it, as Go writes it."""
    line = logs.JsonFormatter("app", "vm").format(_record(FORGED, agent=FORGED))

    assert json.loads(line)["agent"] == json.loads(line)["msg"] == FORGED.replace("\udcff", "\ufffd")
    assert "\n" not in line
    assert line.encode()


def test_a_clients_text_forges_no_line_on_a_terminal() -> None:
    """Further lines are set in, and no code of a terminal goes through."""
    first, *more = logs.TerminalFormatter("app", "vm").format(_record(FORGED, agent=FORGED)).split("\n")

    assert first.startswith("\x1b[36mINFO\x1b[0m[0012] k\\r  ")
    assert more == [r'    level=fatal msg="forged"\x1b[31m\x85\u2028\xff' + "\\"]


@pytest.mark.parametrize("kind", [logs.TextFormatter, logs.JsonFormatter, logs.TerminalFormatter])
def test_endless_values_are_cut(kind: type[logs.DaprFormatter]) -> None:
    """A client's text of megabytes is no line of megabytes, and the line says how much is missing."""
    line = kind("app", "vm").format(_record("x" * 5_000_000, agent="y" * 5_000_000))

    assert len(line) < 3 * logs.MAX_VALUE
    assert line.count(f"... and {5_000_000 - logs.MAX_VALUE} more characters") == 2


@pytest.fixture
def _restored() -> Any:
    root, ours = logging.getLogger(), logging.getLogger(logs.ROOT)
    before = root.handlers[:], root.level, ours.level
    root.handlers[:] = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


@pytest.mark.usefixtures("_restored")
def test_lines_go_to_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    """Lines of our scopes from the level on, and warnings of libraries."""
    logs.configure(app_id="app", level="WARN", as_json=True)

    logging.getLogger("dapr.runtime").info("quiet")
    logging.getLogger("dapr.runtime").warning("loud")
    logging.getLogger("grpc").info("quiet")
    logging.getLogger("grpc").warning("loud")

    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(line["scope"], line["msg"]) for line in lines] == [("dapr.runtime", "loud"), ("grpc", "loud")]


@pytest.mark.usefixtures("_restored")
def test_a_file_is_appended_to(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With a log file nothing is printed, and what stood in the file stays."""
    path = tmp_path / "log"
    path.write_text("before\n")
    logs.configure(app_id="app", level="debug", file=str(path))

    logging.getLogger("dapr.runtime").debug("detail")

    assert re.fullmatch(r"before\ntime=\S+ level=debug msg=detail .*\n", path.read_text())
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"level": "verbose"}, "invalid value for --log-level: verbose"),
        ({"level": "warning"}, "invalid value for --log-level: warning"),
        (
            {"file": "/nonexistent/x"},
            'failed to open log file "/nonexistent/x": open /nonexistent/x: no such file or directory',
        ),
        ({"file": "/"}, 'failed to open log file "/": open /: is a directory'),
    ],
)
def test_a_refusal_can_still_be_told(settings: dict[str, str], error: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A wrong level or file is an error, and lines go to stdout."""
    with pytest.raises(logs.LogOptionsError) as raised:
        logs.configure(app_id="app", **settings)  # type: ignore[arg-type]
    logging.getLogger("dapr.runtime").critical("%s", raised.value)

    assert str(raised.value) == error
    assert "level=fatal msg=" in capfd.readouterr().out
