"""The value that is shown and saved is the value that is stored, digit by digit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.http import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.console.opened import Opened
    from tests.support.sidecar import Sidecar

MODULE = "import('/dapr-state/js/lib/json.js')"
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
LINES = st.lists(st.sampled_from("abc"), max_size=12).map("\n".join)
TEXTS = st.recursive(
    st.one_of(NUMBERS, st.sampled_from(["true", "false", "null"]), st.text(max_size=8).map(json.dumps)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(st.text(max_size=4).map(json.dumps), inner), max_size=4).map(
            lambda members: "{" + ",".join(f"{name}:{value}" for name, value in members) + "}"
        ),
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def opened(browser: Any, sidecar: Sidecar) -> Any:
    from tests.console.opened import Opened  # noqa: PLC0415  as the fixture's type

    page = Opened(browser, sidecar.http_port)
    yield page
    page.close()
    page.check()


def test_a_million_numbers_come_back_as_they_were(opened: Opened) -> None:
    """Whatever a number is, its text is what the tree shows and what indenting keeps."""
    code = f"""async () => {{ const json = await {MODULE};
        let seed = 17;
        const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
        const some = () => `${{1 + random(1e9)}}`;
        const whole = () => `${{random(2) ? "-" : ""}}${{some()}}${{random(2) ? "" : some() + some()}}`;
        const power = () => (random(5) ? "" : `e${{random(800) - 400}}`);
        const number = () => whole() + (random(3) ? "" : `.${{some()}}0`) + power();
        const text = `[${{Array.from({{ length: 1_000_000 }}, number).join(",")}}]`;
        return [json.parse(text).children.length, json.compact(text) === text]; }}"""

    assert opened.page.evaluate(code) == [1_000_000, True]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, min_size=20, max_size=20))
def test_any_json_keeps_its_text(opened: Opened, texts: list[str]) -> None:
    """Indented and made compact again, each text is what it was; members that stand twice stay twice."""
    code = f"""async (texts) => {{ const json = await {MODULE};
        return texts.map((each) => json.compact(json.indented(each))); }}"""

    assert opened.page.evaluate(code, texts) == texts


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(alphabet='{}[]",:0123456789.eE-+truefalsn\\ \n\t', max_size=12), min_size=30, max_size=30))
def test_what_is_json_is_what_json_is(opened: Opened, texts: list[str]) -> None:
    """Our reader refuses what the browser's refuses, and nothing else."""
    code = f"""async (texts) => {{ const json = await {MODULE};
        const isRight = (text) => {{ try {{ JSON.parse(text); return true; }} catch {{ return false; }} }};
        return texts.filter((text) => isRight(text) !== (json.problem(text) === null)); }}"""

    assert opened.page.evaluate(code, texts) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(LINES, LINES), min_size=20, max_size=20))
def test_a_diff_leads_from_one_text_to_the_other(opened: Opened, pairs: list[tuple[str, str]]) -> None:
    """What is the same and what has gone is the one, what is the same and new the other."""
    code = """async (pairs) => { const { diff } = await import('/dapr-state/js/lib/diff.js');
        const text = (lines) => lines.map((line) => line.text).join("\\n");
        const side = (lines, not) => text(lines.filter((line) => line.kind !== not));
        const isWrong = ([a, b], lines) => side(lines, "new") !== a || side(lines, "gone") !== b;
        return pairs.filter((pair) => isWrong(pair, diff(...pair))); }"""

    assert opened.page.evaluate(code, [list(pair) for pair in pairs]) == []


def test_digits_survive_an_edit(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """One number is changed by hand in the editor; all others are stored as they were."""
    before = '{"id": 9007199254740993, "f": 1.10, "e": 1E400, "deep": [18446744073709551616, -0], "n": 1}'
    save = '[{"key":"exact","value":' + before + "}]"
    assert ask(sidecar.http_port, "POST", "/v1.0/state/db", save).code == 204
    opened = open_page(sidecar.http_port, "#/state/db/key/exact")

    for text in ("9007199254740993", "1.10", "1E400", "18446744073709551616"):
        opened.seen(text)
    opened.press("e")
    editor = opened.page.get_by_label("Value", exact=True).and_(opened.page.locator("textarea"))
    editor.wait_for()
    opened.press("Control+End", "ArrowLeft", "Backspace")
    opened.type("2")
    opened.seen("Changes")
    opened.press("Control+Enter")
    opened.seen("Saved exact")

    stored = ask(sidecar.http_port, "GET", "/v1.0/state/db/exact").body.decode()
    assert stored == before.replace('"n": 1', '"n": 2')
