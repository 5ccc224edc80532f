"""Folders of component files: what is read, what is taken, in what order it starts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dapr_state.resources.loader import LoadError, load, parse
from dapr_state.resources.resolve import Environment

if TYPE_CHECKING:
    from pathlib import Path

APP = Environment("app")


def _document(name: str, kind: str = "state.in-memory", **more: str) -> str:
    lines = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": f"{{name: {name}}}"}
    return "\n".join(f"{field}: {value}" for field, value in (lines | {"spec": f"{{type: {kind}}}"} | more).items())


def _write(folder: Path, *documents: str, file: str = "a.yaml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / file).write_text("\n---\n".join(documents))
    return folder


def _names(*folders: Path, environment: Environment = APP) -> list[str]:
    return [component.name for component in load([str(folder) for folder in folders], environment).components]


def test_folders_and_files_are_read_in_order(tmp_path: Path) -> None:
    """Folders in the order of the flags, files by name as bytes, documents as they are written."""
    first = _write(tmp_path / "z", _document("z1"), _document("z2"), file="b.yml")
    _write(first, _document("upper"), file="B.YAML")
    second = _write(tmp_path / "a", _document("a1"))

    assert _names(first, second) == ["upper", "z1", "z2", "a1"]


def test_folders_inside_are_not_read(tmp_path: Path) -> None:
    """Reading is not recursive, even when a folder is named like a file."""
    folder = _write(tmp_path / "r", _document("s"))
    _write(folder / "inner.yaml", _document("t"))

    assert _names(folder) == ["s"]


def test_other_files_are_named_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is no YAML file is passed over with a warning."""
    folder = _write(tmp_path / "r", "hello", file="readme.txt")

    assert _names(folder) == []
    assert caplog.messages == ["A non-YAML Component file readme.txt was detected, it will not be loaded"]


def test_good_documents_beside_a_wrong_one_are_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The warning names the file, the document, the field and the fix; the start goes on."""
    folder = _write(
        tmp_path / "r", _document("a"), _document("b", spec="{metadata: {a: b}}"), "a: b: c", _document("d")
    )

    assert _names(folder) == ["a", "d"]
    frame = f"daprd load Component error when parsing manifests yaml resource in {folder}/a.yaml, document"
    assert caplog.messages == [
        f'{frame} 2: spec.metadata: a mapping stands where a list belongs; write a "-" before each entry',
        f"{frame} 3: line 11: mapping values are not allowed here",
    ]


def test_a_file_that_is_no_text_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Bytes that are no UTF-8 spoil their own file only."""
    folder = _write(tmp_path / "r", _document("s"), file="b.yaml")
    (folder / "a.yaml").write_bytes(b"\xff\xfe\x00")

    assert _names(folder) == ["s"]
    assert [f"in {folder}/a.yaml: 'utf-8' codec can't decode" in message for message in caplog.messages] == [True]


def test_parsing_needs_no_file() -> None:
    """The text of a file is enough to know its components and its problems."""
    file = parse(f"{_document('a')}\n---\n[]", "given.yaml")

    assert [str(each.source) for each in file.manifests] == ["given.yaml, document 1"]
    assert file.problems == (
        'given.yaml, document 2: document: a list stands where fields belong; write "field: value"',
    )


SCRAPS = [
    "a",
    "1",
    ".",
    "-",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "\n",
    "  ",
    "!!int ",
    "&a ",
    "*a",
    "~",
    "'",
    '"',
    "|",
    "<<",
    "\t",
]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may have other work
@given(st.lists(st.sampled_from(SCRAPS)).map("".join), st.sampled_from(["name", "spec", "scopes", "value", "kind"]))
def test_no_text_breaks_the_reader(scrap: str, field: str) -> None:
    """Whatever stands in a field, it is read or it is a problem that is told; the documents beside it are read."""
    item = f"  metadata: [{{name: n, value: v}}, {{{field}: {scrap}\n}}]"
    text = f"{_document('a')}\n---\n{field}: {scrap}\n{_document('b')}\n{item}\n---\n{_document('c')}"

    names = [each.name for each in parse(text, "a.yaml").manifests]

    assert (names[0], names[-1]) == ("a", "c")


@pytest.mark.parametrize("name", ["nope", "a.yaml"])
def test_a_path_that_is_no_folder_is_fatal(tmp_path: Path, name: str) -> None:
    """A folder that is missing, or is a file, stops the start."""
    _write(tmp_path, _document("s"))
    reason = {"nope": "no such file or directory", "a.yaml": "not a directory"}[name]

    with pytest.raises(LoadError) as raised:
        load([str(tmp_path / name)], APP)

    assert str(raised.value) == f"failed to load components: open {tmp_path / name}: {reason}"


def test_a_name_may_be_taken_once(tmp_path: Path) -> None:
    """Two components of one name stop the start, whatever their types, and both places are named."""
    first = _write(tmp_path / "1", _document("x"))
    second = _write(tmp_path / "2", _document("y"), _document("x", "state.redis"))

    with pytest.raises(LoadError) as raised:
        load([str(first), str(second)], APP)

    assert str(raised.value) == (
        "failed to load components: duplicate definition of Component name x (state.redis)"
        f" with existing x (state.in-memory) ({second}/a.yaml, document 2; {first}/a.yaml, document 1)"
    )


def test_a_component_for_others_does_not_take_a_name(tmp_path: Path) -> None:
    """What is out of scope is skipped without a word, and may come before its namesake."""
    folder = _write(tmp_path / "r", _document("x", scopes="[other]"), _document("x"), _document("w", scopes="[app]"))

    assert _names(folder) == ["x", "w"]


def test_a_component_for_others_after_its_namesake_is_fatal(tmp_path: Path) -> None:
    """Daprd checks the name before the scope; so it is here."""
    folder = _write(tmp_path / "r", _document("x"), _document("x", scopes="[other]"))

    with pytest.raises(LoadError, match="duplicate definition of Component name x"):
        load([str(folder)], APP)


def test_the_namespace_filters(tmp_path: Path) -> None:
    """A sidecar with a namespace takes its own components, and those without one."""
    folder = _write(
        tmp_path / "r",
        _document("a", metadata="{name: a, namespace: prod}"),
        _document("b", metadata="{name: b, namespace: test}"),
        _document("c"),
    )

    assert _names(folder, environment=Environment("app", {"NAMESPACE": "prod"})) == ["a", "c"]


SECRET = "{type: state.in-memory, metadata: [{name: key, secretKeyRef: {name: KEY}}]}"


def test_secret_stores_start_first(tmp_path: Path) -> None:
    """A component gets its secret from a store that is written after it, in whatever file."""
    _write(tmp_path, _document("a", spec=SECRET, auth="{secretStore: vault}"), file="1.yaml")
    _write(tmp_path, _document("vault", "secretstores.local.env"), file="2.yaml")

    resources = load([str(tmp_path)], Environment("app", {"KEY": "k"}))

    assert [dict(component.properties) for component in resources.components] == [{"key": "k"}]
    assert list(resources.secret_stores) == ["vault"]


def test_a_secret_store_may_need_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A secret store that waits for a secret starts right after the store that has it."""
    needy = "{type: secretstores.local.env, metadata: [{name: prefix, secretKeyRef: {name: PREFIX}}]}"
    folder = _write(
        tmp_path / "r",
        _document("a", spec=SECRET, auth="{secretStore: second}"),
        _document("second", spec=needy, auth="{secretStore: first}"),
        _document("first", "secretstores.local.env"),
    )

    with caplog.at_level(logging.INFO):
        resources = load([str(folder)], Environment("app", {"PREFIX": "MY_", "MY_KEY": "k"}))

    assert resources.components[0].properties["key"] == "k"
    assert caplog.messages == [
        "Component loaded: first (secretstores.local.env)",
        "Component loaded: second (secretstores.local.env)",
    ]


def test_who_waits_for_a_secret_store_that_is_not_there_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The start goes on without the component, and a warning says what it waits for."""
    folder = _write(tmp_path / "r", _document("a", spec=SECRET, auth="{secretStore: vault}"), _document("b"))

    assert _names(folder) == ["b"]
    reason = "it waits for the secret store vault, which is not there"
    assert caplog.messages == [f"Component a (state.in-memory) is not loaded: {reason} ({folder}/a.yaml, document 1)"]


def test_other_building_blocks_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that is shared with daprd may hold what is not served here."""
    _write(tmp_path, _document("p", "pubsub.redis"), _document("s"))

    assert _names(tmp_path) == ["s"]
    assert caplog.messages == [
        f"Component p (pubsub.redis) is not loaded: state stores only are served here ({tmp_path}/a.yaml, document 1)"
    ]


INIT = "[INIT_COMPONENT_FAILURE]: initialization error occurred for s"
VAULT = "secretstores.vault/v1"
UNSET = "property p refers to {podName} but podName is not set"
CREATE = "[CREATE_COMPONENT_FAILURE]: initialization error occurred for s"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("type: State.redis", "incorrect type State.redis (FOLDER/a.yaml, document 1)"),
        (
            "type: secretstores.vault, version: v1",
            f"{INIT} ({VAULT}): {CREATE} ({VAULT}): couldn't find secret store {VAULT}",
        ),
        (
            "type: secretstores.local.file",
            f"{INIT} (secretstores.local.file): missing local secrets file in metadata",
        ),
        (
            'type: state.in-memory, metadata: [{name: p, value: "{podName}"}]',
            f"{INIT} (state.in-memory): failed to parse metadata: {UNSET} (FOLDER/a.yaml, document 1)",
        ),
    ],
    ids=["unknown category", "unknown secret store", "secret store without file", "template without value"],
)
def test_what_cannot_start_is_fatal_unless_it_may_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spec: str, reason: str
) -> None:
    """With `ignoreErrors` the same words are an error log line, and the others start."""
    expected = f"process component s error: {reason.replace('FOLDER', str(tmp_path))}"
    _write(tmp_path, _document("s", spec=f"{{{spec}}}"))
    with pytest.raises(LoadError) as raised:
        load([str(tmp_path)], APP)
    _write(tmp_path, _document("s", spec=f"{{{spec}, ignoreErrors: true}}"), _document("t"))

    assert _names(tmp_path) == ["t"]
    assert str(raised.value) == expected
    assert caplog.messages == [f"Ignoring error processing component: {expected}"]
