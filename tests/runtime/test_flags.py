"""How daprd reads a command line."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dapr_state.runtime.flags import FLAGS, UsageError, parse, usage


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--app-id", "x"], "app-id", "x"),
        (["--app-id=x"], "app-id", "x"),
        (["-app-id", "x"], "app-id", "x"),
        (["-app-id=x=y"], "app-id", "x=y"),
        (["--app-id="], "app-id", ""),
        (["--app-id", "a", "--app-id", "b"], "app-id", "b"),
        (["--app-id", "-x"], "app-id", "-x"),
        (["--app-id", "-xy"], "app-id", "--xy"),
        (["--app-id", "--"], "app-id", "--"),
        (["word", "--app-id", "x", "word"], "app-id", "x"),
        (["-", "--app-id", "x"], "app-id", "x"),
        (["--", "--app-id", "x"], "app-id", "dapr-state"),
        (["--enable-metrics=false"], "enable-metrics", False),
        (["--enable-metrics=F"], "enable-metrics", False),
        (["--enable-metrics", "false"], "enable-metrics", True),
        (["--profile-port", "-1"], "profile-port", "-1"),
        (["--app-max-concurrency", "0x10"], "app-max-concurrency", 16),
        (["--scheduler-job-streams", "4"], "scheduler-job-streams", 4),
        (["--dapr-block-shutdown-duration", "1h"], "dapr-block-shutdown-duration", 3600.0),
        (["--config", "a,b", "--config", '"c,d"'], "config", ("a", "b", "c,d")),
        (["--resources-path="], "resources-path", ()),
    ],
)
def test_values(argv: list[str], name: str, value: Any) -> None:
    """Dashes, equals signs, repeats, lists and detached values, as daprd's library has them."""
    assert parse(argv)[name] == value


SYNTAX = "invalid syntax"
CSV = 'parse error on line 1, column 3: extraneous or missing " in quoted-field'


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["--nope=1"], "unknown flag: --nope"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["--=x"], "bad flag syntax: --=x"),
        (["---app-id"], "bad flag syntax: ---app-id"),
        (["--app-port"], "flag needs an argument: --app-port"),
        (["--help"], "pflag: help requested"),
        (["-help"], "pflag: help requested"),
        (["-h", "--nope"], "pflag: help requested"),
        (["--nope", "-h"], "unknown flag: --nope"),
        (
            ["--app-max-concurrency", "x"],
            'invalid argument "x" for "--app-max-concurrency" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ["--app-max-concurrency", "-10"],
            f'invalid argument "--10" for "--app-max-concurrency" flag: strconv.ParseInt: parsing "--10": {SYNTAX}',
        ),
        (
            ["--scheduler-job-streams", "-1"],
            'invalid argument "-1" for "--scheduler-job-streams" flag: strconv.ParseUint: parsing "-1": invalid syntax',
        ),
        (
            ["--enable-metrics=yes"],
            'invalid argument "yes" for "--enable-metrics" flag: strconv.ParseBool: parsing "yes": invalid syntax',
        ),
        (
            ["--dapr-block-shutdown-duration", "5"],
            'invalid argument "5" for "--dapr-block-shutdown-duration" flag: time: missing unit in duration "5"',
        ),
        (
            ["--config", '"a'],
            f'invalid argument "\\"a" for "--config" flag: {CSV}',
        ),
    ],
)
def test_mistakes(argv: list[str], error: str) -> None:
    """The first mistake is told in the words of daprd's library."""
    with pytest.raises(UsageError) as raised:
        parse(argv)

    assert str(raised.value) == error


def test_a_deprecated_flag_says_so() -> None:
    """It works, and a line names what to use."""
    parsed = parse(["--components-path", "a"])

    assert parsed["components-path"] == "a"
    assert parsed.deprecations == ["Flag --components-path has been deprecated, use --resources-path"]


def test_the_usage_names_every_flag() -> None:
    """All but the deprecated ones, each on a line of its own, sorted."""
    names = [line.split()[0] for line in usage().splitlines()]

    assert names == sorted(f"--{flag.name}" for flag in FLAGS if not flag.deprecated)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("config", r"      --config strings {29}\S.*[^)]"),
        ("app-protocol", r'      --app-protocol string {24}\S.* \(default "http"\)'),
        ("app-max-concurrency", r"      --app-max-concurrency int {20}\S.* \(default -1\)"),
        ("scheduler-job-streams", r"      --scheduler-job-streams uint {17}\S.* \(default 3\)"),
        ("enable-metrics", r"      --enable-metrics {29}\S.* \(default true\)"),
        ("enable-profiling", r"      --enable-profiling {27}\S.*[^)]"),
        ("actors-disseminate-timeout", r"      --actors-disseminate-timeout duration {8}\S.* \(default 30s\)"),
    ],
)
def test_the_usage_shows_types_and_defaults(name: str, shape: str) -> None:
    """The table has the form of daprd's: columns, types, and the defaults that are not empty."""
    [line] = [line for line in usage().splitlines() if line.split()[0] == f"--{name}"]

    assert re.fullmatch(shape, line)


DAPR_RUN = """
--config /c.yaml --app-protocol http --log-level info --app-max-concurrency -1
--placement-host-address localhost:50005 --components-path /components --max-body-size 4Mi
--read-buffer-size 4Ki --scheduler-host-address localhost:50006 --app-id X --app-port 0
--dapr-http-port 3501 --dapr-grpc-port 50002 --profile-port -1 --metrics-port 9091
--dapr-internal-grpc-port 50003 --log-as-json
"""


def test_the_command_line_of_the_dapr_cli_is_read() -> None:
    """What a plain `dapr run` passes is understood, but for a line about a deprecated flag."""
    parsed = parse(DAPR_RUN.split())

    assert len(parsed.given) == 17
    assert len(parsed.deprecations) == 1


def test_flags_without_effect_are_known() -> None:
    """Those that were given, with the reason; what is not given is not spoken of."""
    parsed = parse(["--app-id", "x", "--enable-profiling", "--sentry-request-jwt-audiences=b"])

    assert parsed.idle() == (
        "--enable-profiling (there are no profiles)",
        "--sentry-request-jwt-audiences (nothing here shows such tokens)",
    )
    assert parse(["--app-id", "x"]).idle() == ()
