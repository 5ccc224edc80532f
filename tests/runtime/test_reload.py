"""Hot reload: what happens to a running sidecar when its component files change, and when they are wrong."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
import yaml

from dapr_state.runtime.changes import Changes
from dapr_state.runtime.reload import snapshot
from tests.support.client import item
from tests.support.components import component, write_components
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.client import Client
    from tests.support.components import Component


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    """One with the store `lite` in the file a.db."""
    with Sidecar(tmp_path, [lite(tmp_path, "a.db")]) as server:
        yield server


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[Client]:
    with sidecar.client() as made:
        yield made


def lite(folder: Path, file: str, **more: str) -> Component:
    return component("lite", "state.sqlite", connectionString=str(folder / file), **more)


def settle(sidecar: Sidecar, client: Client, name: str = "marker") -> None:
    """Return when every change made so far has been looked at: one more component is there."""
    write_components(sidecar.resources, [component(name, "state.in-memory")])
    until(lambda: client.get(name, "k").ok, what=f"{name} is loaded: {sidecar.log()[-2000:]}")


def test_a_new_component_is_served(sidecar: Sidecar, client: Client) -> None:
    """A file that is added brings its store, without a restart."""
    before = client.get("mem", "k")
    write_components(sidecar.resources, [component("mem", "state.in-memory")])
    until(lambda: client.save("mem", item("k", b"v")).ok)

    assert before.code == "INVALID_ARGUMENT"
    assert client.get("mem", "k").response["data"] == b"v"
    assert "Component updated: mem (state.in-memory/v1)" in sidecar.log()


def test_a_removed_component_is_gone(sidecar: Sidecar, client: Client) -> None:
    """A file that is removed takes its store with it."""
    (sidecar.resources / "lite.yaml").unlink()
    until(lambda: not client.get("lite", "k").ok)

    assert client.get("lite", "k").message == "state store lite is not configured"


def test_a_changed_component_is_opened_anew(sidecar: Sidecar, client: Client, tmp_path: Path) -> None:
    """What the file says now counts: the store looks into the other database, and back again."""
    client.save("lite", item("k", b"in a"))
    write_components(sidecar.resources, [lite(tmp_path, "b.db")])
    until(lambda: not client.get("lite", "k").response)
    write_components(sidecar.resources, [lite(tmp_path, "a.db")])

    assert until(lambda: client.get("lite", "k").response)["data"] == b"in a"


def test_no_call_notices_a_change(sidecar: Sidecar, client: Client, tmp_path: Path) -> None:
    """While a store is replaced again and again, every call succeeds, and every acknowledged write is there."""
    over = threading.Event()
    refused: list[str] = []
    written: list[str] = []

    def write(worker: int) -> None:
        while not over.is_set():
            key = f"{worker}-{len(written)}"
            reply = client.save("lite", item(key, b"v"))
            (written if reply.ok else refused).append(key if reply.ok else reply.message)

    workers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for number in range(1, 5):
        write_components(sidecar.resources, [lite(tmp_path, "a.db", note=str(number))])
        until(lambda count=number: sidecar.log().count("Component updated: lite") == count)  # type: ignore[misc]
    over.set()
    for worker in workers:
        worker.join()
    found = client.bulk_get("lite", *written)

    assert refused == []
    assert len(written) > 100
    assert [row["key"] for row in found.response["items"] if row.get("data") != b"v"] == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kind: Component\nspec: [", "lite.yaml, document 1"),
        (
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: lite}\nspec: {metadata: {a: b}}",
            "spec.metadata",
        ),
        ("\x00", "lite.yaml"),
    ],
    ids=("syntax", "shape", "bytes"),
)
def test_a_file_that_is_wrong_leaves_its_components_running(
    sidecar: Sidecar, client: Client, text: str, reason: str
) -> None:
    """The store stays as it was, the log names the file and the place, and other files are still reloaded."""
    client.save("lite", item("k", b"v"))
    (sidecar.resources / "lite.yaml").write_text(text)
    until(lambda: "lite.yaml is not reloaded: what it holds stays as it is until it is mended" in sidecar.log())
    settle(sidecar, client)

    assert client.get("lite", "k").response["data"] == b"v"
    assert reason in sidecar.log()


def test_a_mended_file_counts_again(sidecar: Sidecar, client: Client, tmp_path: Path) -> None:
    """After the mistake is corrected, what the file says is what is served."""
    (sidecar.resources / "lite.yaml").write_text("kind: [")
    settle(sidecar, client)
    write_components(sidecar.resources, [lite(tmp_path, "b.db")])
    until(lambda: "Component updated: lite" in sidecar.log())

    assert client.save("lite", item("k", b"v")).ok
    assert (tmp_path / "b.db").exists()


def test_a_name_that_is_taken_twice_changes_nothing(sidecar: Sidecar, client: Client) -> None:
    """Two files with one name are refused together; daprd ends there."""
    client.save("lite", item("k", b"v"))
    twice = component("lite", "state.in-memory")
    (sidecar.resources / "twice.yaml").write_text(yaml.safe_dump(twice))
    until(lambda: "duplicate definition of Component name lite" in sidecar.log())

    assert client.get("lite", "k").response["data"] == b"v"


@pytest.mark.parametrize(
    "changed",
    [
        component("lite", "state.sqlite", connectionString="/nonexistent/folder/x.db"),
        component("lite", "state.nonsense"),
        component("lite", "foo.bar"),
    ],
    ids=("cannot open", "unknown type", "unknown category"),
)
def test_a_component_that_cannot_be_opened_leaves_the_old_one(
    sidecar: Sidecar, client: Client, changed: Component
) -> None:
    """The new store is opened before the old one is closed; where that fails, the old one serves on."""
    client.save("lite", item("k", b"v"))
    write_components(sidecar.resources, [changed])
    until(lambda: "stays as it was" in sidecar.log() or "all stay as they are" in sidecar.log())

    assert client.get("lite", "k").response["data"] == b"v"
    assert sidecar.exit_code is None


def test_a_store_for_actors_is_not_exchanged(tmp_path: Path) -> None:
    """As with daprd, a component with actorStateStore is neither added, changed nor removed while the sidecar runs."""
    actors = component("actors", "state.in-memory", actorStateStore="true")
    with Sidecar(tmp_path, [actors]) as sidecar, sidecar.client() as client:
        client.save("actors", item("k", b"v"))
        write_components(
            sidecar.resources,
            [component("actors", "state.in-memory"), component("added", "state.in-memory", actorstatestore="")],
        )
        settle(sidecar, client, "first")
        (sidecar.resources / "actors.yaml").unlink()
        settle(sidecar, client, "second")
        kept, added = client.get("actors", "k"), client.get("added", "k")

    refusal = "Aborting to hot-reload a state store component that is used as an actor state store: actors"
    assert kept.response["data"] == b"v"
    assert added.code == "INVALID_ARGUMENT"
    assert refusal in sidecar.log()


def test_a_comment_changes_nothing(sidecar: Sidecar, client: Client) -> None:
    """A file that says the same in other words is not a change."""
    file = sidecar.resources / "lite.yaml"
    file.write_text(f"# a comment\n---\n{file.read_text()}\n")
    settle(sidecar, client)

    assert "Component updated: lite" not in sidecar.log()


def test_a_folder_that_vanishes_changes_nothing(sidecar: Sidecar, client: Client, tmp_path: Path) -> None:
    """The components stay; daprd ends there."""
    client.save("lite", item("k", b"v"))
    sidecar.resources.rename(tmp_path / "elsewhere")
    until(lambda: "all stay as they are: failed to load components: open" in sidecar.log())

    assert client.get("lite", "k").response["data"] == b"v"


def test_a_new_component_sees_new_secrets(tmp_path: Path) -> None:
    """Secrets are read again for a component that is added, so that both can be added together."""
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"old": "00" * 16}))
    store = component("secrets", "secretstores.local.file", secretsFile=str(secrets))
    with Sidecar(tmp_path, [store]) as sidecar, sidecar.client() as client:
        secrets.write_text(json.dumps({"new": "11" * 16}))
        added = component("mem", "state.in-memory") | {"auth": {"secretStore": "secrets"}}
        added["spec"]["metadata"] = [{"name": "primaryEncryptionKey", "secretKeyRef": {"name": "new"}}]
        write_components(sidecar.resources, [added])
        until(lambda: client.save("mem", item("k", b"v")).ok, what=sidecar.log())

    assert "Automatic encryption enabled for state store mem" in sidecar.log()


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    """With the feature HotReload disabled nothing is watched."""
    configuration = tmp_path / "config.yaml"
    configuration.write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\n"
        "spec: {features: [{name: HotReload, enabled: false}]}\n"
    )
    with Sidecar(tmp_path, flags=["--config", str(configuration)]) as off, Sidecar(tmp_path) as on:
        pass

    assert "Watching directories" in on.log()
    assert "Watching directories" not in off.log()


def test_a_change_counts_when_the_files_are_at_rest(tmp_path: Path) -> None:
    """A file that grows between two looks is not read yet; when it has stopped, it is read once."""
    changes = Changes(partial(snapshot, [str(tmp_path)]))
    file = tmp_path / "a.yaml"
    seen = [changes.settled()]
    for text in ("a", "ab"):
        file.write_text(text)
        seen.append(changes.settled())
    seen += [changes.settled(), changes.settled()]

    assert seen == [False, False, False, True, False]


def test_a_file_that_never_rests_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    """After some looks what changes all the time counts as a change; and again after as many."""
    changes = Changes(partial(snapshot, [str(tmp_path)]), looks_at_most=4)
    seen = []
    for number in range(1, 9):
        (tmp_path / "a.yaml").write_text("a" * number)
        seen.append(changes.settled())

    assert seen == [False, False, False, True] * 2


def test_a_link_to_nowhere_hides_no_change(tmp_path: Path) -> None:
    """What cannot be looked at is left out, the rest of the folder is watched."""
    (tmp_path / "a.yaml").symlink_to(tmp_path / "nowhere")
    changes = Changes(partial(snapshot, [str(tmp_path), str(tmp_path / "missing")]))
    (tmp_path / "b.yaml").write_text("b")

    assert [changes.settled(), changes.settled()] == [False, True]
