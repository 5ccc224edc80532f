"""Counters and their text: what the official client reads from it is what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dapr_state.observability import exposition
from dapr_state.observability.exposition import CounterFamily, CountOf, HistogramFamily, go_number
from dapr_state.observability.metrics import LATENCIES, SIZES, Metrics, category

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

APP = {"app_id": "app"}


def read(lines: Iterable[str]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels."""
    families = text_string_to_metric_families("".join(lines))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def labels(**given: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({**APP, **given}.items()))


def test_a_family_without_series_says_nothing() -> None:
    """Series appear with their first use, and so does the family."""
    assert list(CounterFamily("n", "Text.", ("a",), APP).lines()) == []


@pytest.mark.parametrize("value", ["plain", 'with "quotes"', "back\\slash", "two\nlines", "ümläut", "{}=,"])
def test_any_label_value_survives(value: str) -> None:
    """What would end a label early is escaped."""
    family = CounterFamily("n_total", "Text.", ("a",), APP)
    family.series(value).value += 3

    assert read(family.lines()) == {("n_total", labels(a=value)): 3}


def test_a_histogram_counts_upwards() -> None:
    """Each bucket holds all that is below its bound; a value on a bound is above it, as in daprd."""
    family = HistogramFamily("n", "Text.", (), APP, (1, 2, 5))
    for value in (0, 1, 1, 4, 5, 99):
        family.series().observe(value)

    found = read(family.lines())

    assert [found["n_bucket", labels(le=bound)] for bound in ("1", "2", "5", "+Inf")] == [1, 3, 4, 6]
    assert (found["n_sum", labels()], found["n_count", labels()]) == (110, 6)


def test_a_count_of_a_histogram_needs_no_counting() -> None:
    """It is the number of observations, with the same labels."""
    histograms = HistogramFamily("n", "Text.", ("a",), APP, (1,))
    histograms.series("x").observe(7)
    histograms.series("unused")

    assert read(CountOf("n_total", "Text.", histograms, APP).lines()) == {("n_total", labels(a="x")): 1}


def test_a_caller_cannot_make_endless_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, new label values are counted together under empty ones."""
    monkeypatch.setattr(exposition, "MAX_SERIES", 2)
    family = CounterFamily("n_total", "Text.", ("a",), APP)
    for value in ("a", "b", "c", "d", "a"):
        family.series(value).value += 1

    assert read(family.lines()) == {
        ("n_total", labels(a="a")): 2,
        ("n_total", labels(a="b")): 1,
        ("n_total", labels(a="")): 2,
    }


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1"), (262144, "262144"), (1048576, "1.048576e+06"), (1000000, "1e+06"), (4294967296, "4.294967296e+09")],
)
def test_bounds_are_written_as_go_writes_them(number: int, text: str) -> None:
    """Queries compare `le` as text."""
    assert go_number(number) == text


def rewritten(rules: Mapping[str, str]) -> dict[str, float]:
    metrics = Metrics("app", rules=[("dapr_component_state_count", "component", list(rules.items()))])
    for store in ("orders-1", "orders-2", "other"):
        metrics.state_count.series(store, "", "get", "true").value += 1
    return {
        dict(found)["component"]: value
        for (name, found), value in read(metrics.lines()).items()
        if name == "dapr_component_state_count_total"  # the client adds the end
    }


def test_rules_rewrite_labels_and_join_what_becomes_equal() -> None:
    """Each replacement is put where its expression matches, and series with the same labels are added up."""
    assert rewritten({"orders": "orders-[0-9]"}) == {"orders": 2, "other": 1}


def test_rules_of_another_metric_change_nothing() -> None:
    """A rule is for the metric that it names."""
    metrics = Metrics("app", rules=[("dapr_http_server_latency", "component", [("x", ".*")])])
    metrics.state_count.series("store", "", "get", "true").value += 1

    series = labels(component="store", namespace="", operation="get", success="true")
    assert ("dapr_component_state_count_total", series) in read(metrics.lines())


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("ERR_STATE_SAVE", "state"),
        ("ERR_ACTOR_NO_PLACEMENT", "actor"),
        ("ERR_DIRECT_INVOKE", "service-invocation"),
        ("ERR_MALFORMED_REQUEST", "common"),
        ("ERR_SECRET_STORES_NOT_CONFIGURED", "secret"),
        ("ERR_PUBSUB_NOT_FOUND", "pubsub"),
    ],
)
def test_error_codes_have_daprds_categories(code: str, group: str) -> None:
    """As observed on daprd."""
    assert category(code) == group


def test_the_default_bounds_are_daprds() -> None:
    """runtime.md 8: 34 latencies in milliseconds, 13 sizes from 1 KiB to 4 GiB."""
    assert (len(LATENCIES), LATENCIES[0], LATENCIES[-1]) == (34, 1, 100000)
    assert " ".join(map(go_number, SIZES)) == (
        "1024 2048 4096 16384 65536 262144 1.048576e+06 4.194304e+06 1.6777216e+07 6.7108864e+07 2.68435456e+08 "
        "1.073741824e+09 4.294967296e+09"
    )
