"""A component's properties and their two readers."""

from __future__ import annotations

import pytest

from dapr_state.resources.properties import LenientFields, Properties, PropertiesError, StrictFields, is_truthy


def test_names_match_in_any_case() -> None:
    """The case of a property's name does not matter."""
    properties = Properties({"redisHost": "h"})

    assert properties["REDISHOST"] == "h"


def test_the_last_duplicate_wins() -> None:
    """Of two values of one name the later one counts, however the names are written."""
    properties = Properties([("Timeout", "1s"), ("timeout", "2s")])

    assert properties["Timeout"] == "2s"


def test_iteration_gives_the_written_names() -> None:
    """The names are kept as they are written."""
    properties = Properties([("redisHost", "h"), ("redisDB", "0"), ("redisHost", "i")])

    assert list(properties) == ["redisHost", "redisDB"]


def test_the_repr_hides_values() -> None:
    """A log line with properties shows no secret."""
    properties = Properties({"redisPassword": "hunter2"})

    assert repr(properties) == "<Properties redisPassword>"


def test_strict_fields_read_what_is_given() -> None:
    """Each reader finds its field in any case, and leaves the default where there is none."""
    fields = StrictFields(Properties({"redishost": "h", "enabletls": "T", "redisdb": "-1", "redisport": "6380"}))

    read = (
        fields.text("redisHost", default="localhost"),
        fields.text("redisUsername", default=""),
        fields.bool("enableTLS"),
        fields.bool("failover"),
        fields.int("redisDB", default=0),
        fields.int("ttlInSeconds", default=None),
        fields.port("redisPort", default=None),
    )
    fields.check()

    assert read == ("h", "", True, False, -1, None, 6380)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1500", 1.5), ("0", 0.0), ("-1", -1.0), ("-5", -1.0), ("2s", 2.0), ("-2s", -2.0)]
)
def test_strict_durations(text: str, seconds: float) -> None:
    """A bare integer is milliseconds, a negative one means none at all."""
    fields = StrictFields(Properties({"dialTimeout": text}))

    assert fields.duration("dialTimeout", default=5.0) == seconds


def test_strict_mistakes_are_told_together() -> None:
    """All wrong fields are named at once, sorted, in daprd's words."""
    wrong = {"redisPort": "99999", "enabletls": "yes please", "redisDB": "abc", "dialTimeout": "1d", "readTimeout": ""}
    fields = StrictFields(Properties(wrong))

    read = (
        fields.port("redisPort", default=1),
        fields.bool("enableTLS", default=True),
        fields.int("redisDB", default=2),
        fields.duration("dialTimeout", default=3.0),
        fields.duration("readTimeout", default=None),
    )
    with pytest.raises(PropertiesError) as raised:
        fields.check()

    assert read == (1, True, 2, 3.0, None)
    assert str(raised.value) == (
        "decode failed. 5 error(s) decoding:\n\n"
        '* error decoding \'dialTimeout\': invalid Duration "1d": time: unknown unit "d" in duration "1d"\n'
        "* error decoding 'enableTLS': invalid bool \"yes please\"\n"
        '* error decoding \'readTimeout\': invalid Duration "": time: invalid duration ""\n'
        "* error decoding 'redisDB': invalid int \"abc\"\n"
        "* error decoding 'redisPort': invalid uint16 \"99999\""
    )


def test_lenient_fields_read_what_is_given() -> None:
    """A field is found in any case, and by its alias where its own name is absent."""
    fields = LenientFields(Properties({"URL": "u", "disablewal": " On ", "maxConns": "0x10", "minConns": ""}))

    read = (
        fields.text("connectionString", "url", default=""),
        fields.bool("disableWAL"),
        fields.int("maxConns", default=0),
        fields.int("minConns", default=7),
        fields.int("tableCount", default=None),
    )
    fields.check()

    assert read == ("u", True, 16, 0, None)


def test_the_name_wins_over_its_alias() -> None:
    """When both are given, the alias is not looked at."""
    fields = LenientFields(Properties({"timeoutInSeconds": "5", "timeout": "7"}))

    assert fields.duration("timeout", "timeoutInSeconds", default=20.0) == 7.0


@pytest.mark.parametrize(("text", "seconds"), [("15", 15.0), ("-1", -1.0), ("", 0.0), ("1m", 60.0), ("300ms", 0.3)])
def test_lenient_durations(text: str, seconds: float) -> None:
    """A bare integer is seconds, and an empty text is zero."""
    fields = LenientFields(Properties({"timeout": text}))

    assert fields.duration("timeout", default=20.0) == seconds


def test_lenient_mistakes_are_told_together() -> None:
    """All wrong fields are named at once, sorted, in daprd's words."""
    fields = LenientFields(Properties({"maxConns": "abc", "busyTimeout": "1d", "disableWAL": "what"}))

    read = (
        fields.int("maxConns", default=4),
        fields.duration("busyTimeout", default=2.0),
        fields.bool("disableWAL", default=True),
    )
    with pytest.raises(PropertiesError) as raised:
        fields.check()

    assert read == (4, 2.0, False)
    assert str(raised.value) == (
        "2 error(s) decoding:\n\n"
        "* cannot parse 'maxConns' as int: strconv.ParseInt: parsing \"abc\": invalid syntax\n"
        '* error decoding \'busyTimeout\': time: unknown unit "d" in duration "1d"\n'
        'strconv.ParseInt: parsing "1d": invalid syntax'
    )


def test_lenient_fields_refuse_a_name_in_two_cases() -> None:
    """Two spellings of one name are a mistake, not a choice."""
    with pytest.raises(PropertiesError, match=r"^failed to resolve aliases: key timeout is duplicate in the metadata$"):
        LenientFields(Properties([("timeout", "1s"), ("Timeout", "2s")]))


@pytest.mark.parametrize(
    ("text", "truth"),
    [("y", True), (" YES ", True), ("On", True), ("1", True), ("T", True), ("", False), ("2", False), ("ja", False)],
)
def test_lenient_truth(text: str, truth: bool) -> None:
    """A few words mean yes, everything else no."""
    assert is_truthy(text) is truth
