"""Component files and command lines that daprd and this sidecar must read alike."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dapr_state.resources.loader import load
from dapr_state.resources.properties import LenientFields, Properties, PropertiesError, StrictFields
from dapr_state.resources.resolve import Environment
from tests.support.recorded import data
from tests.support.sidecar import Daprd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from tests.support.recorded import Recorded

# How a value is written in YAML. The store shows the text that it becomes when it is no good bool or int.
WRITTEN = [
    "x", '"12"', "12", "yes", "Off", "n", "~", '""', "1.50", "1e3", "1.5e300", "1e-7", "0x1F", "010", "08", "0b101",
    "1_000", "+1", "-0", ".5", "5.", "1:30", "2024-01-02", "1.2.3", "{a: 1, b: [x, y, 1.0]}", "[1, {z: 1, a: '<'}]",
    "18446744073709551615", "99999999999999999999", "123456789012345678901234567890", "'\"q\"'", '"\'x\'"', "!!str 5",
    "tRUE", "0o17", "0.1", "-1.5", "1e21", "1E+2", "[]", "{}", "{1: a, true: b}", "'{appID}'", "'{namespace}'", "=",
    "'a\"b\\c'", '"caf\u00e9 \\u2028 \\t"', "|\n        two\n        lines", "&a [1, 2]",
]  # fmt: skip
STRICT = {
    "enableTLS": ["yes", "", "True", "tRUE", " true"],
    "redisDB": ["abc", "", "0x10", "+5", "99999999999999999999", "1.5"],
    "redisPort": ["65536", "-1", "", "6379"],
    "dialTimeout": ["abc", "", "1d", "1.5", "100", "-1", "-5s", "5 s", "1h30m", "3000000h", "0"],
}
LENIENT = {
    "timeout": ["abc", "1d", "1.5", "20", "1m", "5 s"],
    "busyTimeout": ["", "0", "-1", "x", "99999999999999999999"],
    "cleanupInterval": ["1h", "never", "+5"],
}
# Where the property is good, the redis store fails for another reason: nobody listens on port 1.
DOCUMENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec:
  type: {kind}
  version: v1
  ignoreErrors: true
  metadata:
    - {{name: redisHost, value: "127.0.0.1:1"}}
    - {{name: redisMaxRetries, value: "-1"}}
    - {{name: connectionString, value: ":memory:"}}
    - name: {field}
      value: {value}
"""


def _documents(kind: str, cases: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A component for each field and value, by its name."""
    return {
        f"c{index}": DOCUMENT.format(name=f"c{index}", kind=kind, field=field, value=value)
        for index, (field, value) in enumerate(cases)
    }


def _theirs(binary: Path, folder: Path, documents: Mapping[str, str]) -> dict[str, str]:
    """What daprd's store says about the properties of each component that it refuses for them."""
    daprd = Daprd(binary, folder, flags=["--log-as-json", "--enable-metrics=false"])
    _write(daprd.folder / f"daprd-{daprd.grpc_port}-resources", documents)
    with daprd:
        messages = [json.loads(line)["msg"] for line in daprd.log().splitlines() if line.startswith("{")]
    failures = (re.fullmatch(FAILURE, message, re.DOTALL) for message in messages)
    return {failure[1]: failure[2] for failure in failures if failure}


def _ours(folder: Path, documents: Mapping[str, str], read: Callable[[Properties], None]) -> dict[str, str]:
    _write(folder / "ours", documents)
    refused = {}
    for component in load([str(folder / "ours")], Environment("app")).components:
        try:
            read(component.properties)
        except PropertiesError as error:
            refused[component.name] = str(error)
    return refused


def _write(folder: Path, documents: Mapping[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "all.yaml").write_text("\n---\n".join(documents.values()))


FAILURE = (
    r"Failed to init component (c\d+) .*?: \[INIT.*?\(.*?\): (?:redis client configuration error: )?(.*decoding:.*)"
)


def _read_strictly(properties: Properties) -> None:
    fields = StrictFields(properties)
    fields.bool("enableTLS")
    fields.int("redisDB", default=0)
    fields.port("redisPort", default=None)
    fields.duration("dialTimeout", default=None)
    fields.check()


def _read_leniently(properties: Properties) -> None:
    fields = LenientFields(properties)
    for name in ("timeout", "busyTimeout", "cleanupInterval"):
        fields.duration(name, f"{name}InSeconds", default=None)
    fields.check()


def test_values_become_the_same_texts(recorded: Recorded, tmp_path: Path) -> None:
    """Every way of writing a value gives the text that daprd gives to its store."""
    documents = _documents("state.redis", ((field, value) for value in WRITTEN for field in ("enableTLS", "redisDB")))

    theirs = recorded(
        "values become the same texts",
        lambda daprd_binary: _theirs(daprd_binary, tmp_path, documents),
        of="daprd_binary",
    )
    ours = _ours(tmp_path, documents, _read_strictly)

    assert ours == theirs


def test_the_strict_reader_refuses_the_same(recorded: Recorded, tmp_path: Path) -> None:
    """What daprd's redis store refuses is refused in the same words, and nothing else is."""
    cases = [(field, json.dumps(value)) for field, values in STRICT.items() for value in values]
    documents = _documents("state.redis", cases)

    theirs = recorded(
        "the strict reader refuses the same",
        lambda daprd_binary: _theirs(daprd_binary, tmp_path, documents),
        of="daprd_binary",
    )
    ours = _ours(tmp_path, documents, _read_strictly)

    assert ours == theirs


def test_the_lenient_reader_refuses_the_same(recorded: Recorded, tmp_path: Path) -> None:
    """What daprd's SQLite store refuses is refused in the same words, and nothing else is."""
    cases = [(field, json.dumps(value)) for field, values in LENIENT.items() for value in values]
    documents = _documents("state.sqlite", cases)

    theirs = recorded(
        "the lenient reader refuses the same",
        lambda daprd_binary: _theirs(daprd_binary, tmp_path, documents),
        of="daprd_binary",
    )
    ours = _ours(tmp_path, documents, _read_leniently)

    assert ours == theirs


COMMAND_LINES = [
    ["--nope"],
    ["-x"],
    ["--=x"],
    ["---x"],
    ["--app-port"],
    ["--app-max-concurrency", "x"],
    ["--app-max-concurrency", "-10"],
    ["--app-max-concurrency="],
    ["--scheduler-job-streams", "-1"],
    ["--enable-metrics=maybe"],
    ["--dapr-block-shutdown-duration", "5"],
    ["--dapr-graceful-shutdown-seconds", "99999999999999999999"],
    ["--config", '"a'],
    ["--help"],
    ["--log-level", "verbose"],
    ["--log-level", "warning"],
    ["--log-file", "/nonexistent/x"],
    ["--max-body-size", "4MB"],
    ["--max-body-size", "1e"],
    ["--actors-disseminate-timeout", "0s"],
    ["--app-id", ""],
    ["--app-id", "a.b"],
    ["--dapr-http-port", "abc"],
    ["--dapr-grpc-port", ""],
    ["--profile-port", "99999999999999999999"],
    ["--dapr-internal-grpc-port", "x"],
    ["--dapr-public-port", "x"],
    ["--app-port", "x"],
    ["--app-port", "3500"],
    ["--app-protocol", "foo"],
    ["--disable-init-endpoints", "foo"],
    ["--app-health-probe-timeout", "5001"],
    ["--mode", "bar"],
    ["--control-plane-trust-domain", ""],
    ["--enable-mtls"],
]


@pytest.mark.parametrize("argv", COMMAND_LINES, ids=" ".join)
def test_command_lines_fail_alike(argv: list[str], recorded: Recorded) -> None:
    """The exit code, the last line of stdout and the first of stderr are daprd's."""
    argv = ["--app-id", "app", *argv]

    theirs = recorded(" ".join(argv), lambda daprd_binary: _end(daprd_binary, *argv), of="daprd_binary")
    ours = _end(sys.executable, "-m", "dapr_state", "serve", *argv)

    assert data(ours) == theirs


def _end(*command: str | Path) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    last = done.stdout.splitlines()[-1]
    # of a log line: what it says, not when and where
    told = re.search(r'level=\S+ msg=".*?[^\\]"(?= )', last)
    first = done.stderr.partition("\n")[0].replace("daprd", "dapr-state serve")
    return done.returncode, told[0] if told else last, first
