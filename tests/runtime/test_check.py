"""`dapr-state check`: each finding has its place, nothing that a file keeps is printed, and nothing is written."""

from __future__ import annotations

import os
import socket
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest

from dapr_state.cli import main
from tests.support.components import component, write_components
from tests.support.pluggable import PluggableComponent
from tests.support.redis_groups import MASTER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgresql import PostgresServer
    from tests.support.redis import RedisServer
    from tests.support.redis_groups import ClusterServers, Group

SECRET = "hunter2secret"


class Folder:
    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capsys = capsys

    def write(self, name: str, *documents: str) -> None:
        (self.path / name).write_text("---\n".join(dedent(each).lstrip("\n") for each in documents))

    def check(self, *argv: str) -> tuple[int, list[str]]:
        """The exit code, and the findings, with their files' names alone."""
        code = main(["check", "--resources-path", str(self.path), *argv])
        printed = self._capsys.readouterr()
        assert printed.err == ""
        assert SECRET not in printed.out
        return code, [line.replace(f"{self.path}/", "", 1) for line in printed.out.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    path = tmp_path / "resources"
    path.mkdir()
    return Folder(path, capsys)


def document(name: str, kind: str, *metadata: str) -> str:
    """Seven lines, and one for each of the metadata's."""
    head = f"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {kind}\n"
    return f"{head}  metadata:\n" + "".join(indent(f"- {{{each}}}\n", "  ") for each in metadata)


def begins(lines: list[str], *beginnings: str) -> bool:
    return len(lines) == len(beginnings) and all(map(str.startswith, lines, beginnings))


def test_what_is_right_says_nothing(folder: Folder) -> None:
    """No line, and exit code 0."""
    write_components(folder.path, [component("a", "state.in-memory"), component("b", "state.redis", redisHost="h:1")])

    assert folder.check() == (0, [])


def test_a_field_that_cannot_be_read_is_named_with_its_line(folder: Folder) -> None:
    """Of the entry itself, in whichever document of the file; its value is not shown."""
    wrong = document("b", "state.redis", "name: redisHost, value: h", f"name: enableTLS, value: {SECRET}")
    folder.write("a.yaml", document("a", "state.in-memory"), wrong)
    code, lines = folder.check()

    assert code == 1
    assert begins(
        lines, "a.yaml:17: error: [INIT_COMPONENT_FAILURE]: initialization error occurred for b (state.redis)"
    )
    assert "'enableTLS'" in lines[0]


def test_every_component_is_checked_and_not_the_first_alone(folder: Folder) -> None:
    """Also behind one that would end the start, and in files that are no YAML."""
    folder.write("a.yaml", document("a", "state.nosuch"), document("b", "state.sqlite"))
    folder.write("b.yaml", "a: [1\n")
    folder.write(
        "c.yaml",
        document("c", "nosuch"),
        document("d", "state.in-memory").replace("metadata:", "scopes: 5\nmetadata:", 1),
    )
    folder.write("d.yaml", document("x", "state.in-memory").replace("name: x", "other: x"))
    code, lines = folder.check()

    assert code == 1
    assert begins(
        lines,
        "a.yaml:6: error: [INIT_COMPONENT_FAILURE]: initialization error occurred for a (state.nosuch): [CREATE_",
        "a.yaml:14: error: [INIT_COMPONENT_FAILURE]: initialization error occurred for b (state.sqlite): missing",
        "b.yaml:2: error: expected ',' or ']'",
        "c.yaml:6: error: process component c error: incorrect type nosuch",
        "c.yaml:11: error: scopes: a number stands where a list belongs",
        "d.yaml:3: error: is not loaded: metadata.name is missing",
    ), lines


def test_names_that_are_taken_and_two_stores_for_actors(folder: Folder) -> None:
    """Each is told at the second of the two."""
    actors = "name: actorStateStore, value: 'true'"
    folder.write("a.yaml", document("a", "state.in-memory", actors), document("a", "state.in-memory"))
    folder.write("b.yaml", document("b", "state.in-memory", actors))
    code, lines = folder.check()

    assert code == 1
    assert begins(lines, "a.yaml:13: error: duplicate definition of Component name a", "b.yaml:6: error: ")
    assert "duplicate actor state store: a and b" in lines[1]


def test_a_secret_store_that_is_not_there(folder: Folder) -> None:
    """The component would be passed over without a word but a warning: it is an error here."""
    secret = "name: redisPassword, secretKeyRef: {name: n, key: k}"
    folder.write("a.yaml", document("a", "state.redis", secret) + "auth: {secretStore: gone}\n")

    code, lines = folder.check()
    assert code == 1
    assert "it waits for the secret store gone" in lines[0]


def test_a_secret_is_resolved_and_not_shown(folder: Folder, tmp_path: Path) -> None:
    """Where its text is of no use to the store, the field is named and the text is not."""
    (tmp_path / "secrets.json").write_text(f'{{"text": "{SECRET}"}}')
    folder.write(
        "s.yaml", document("s", "secretstores.local.file", f"name: secretsFile, value: {tmp_path}/secrets.json")
    )
    secret = "name: redisDB, secretKeyRef: {name: text, key: text}"
    folder.write("a.yaml", document("a", "state.redis", secret) + "auth: {secretStore: s}\n")
    code, lines = folder.check()

    assert code == 1
    assert begins(lines, "a.yaml:8: error: ")
    assert "'redisDB'" in lines[0]


def test_words_of_ours_are_told_though_a_value_is_the_same(folder: Folder) -> None:
    """A host called redis hides no `redis`; a password is hidden whatever it is, and so is an address."""
    nobody = "name: redisHost, value: '127.0.0.1:1'"
    retries = "name: redisMaxRetries, value: '-1'"
    folder.write("a.yaml", document("a", "state.redis", nobody, "name: redisType, value: node", retries))
    folder.write("b.yaml", document("b", "state.redis", nobody, "name: redisPassword, value: error", retries))
    folder.write("c.yaml", document("c", "state.redis", nobody, "name: sentinelMasterName, value: redis", retries))
    code, lines = folder.check("--connect")

    assert code == 1
    assert "redis store: error connecting to redis at …" in lines[0]
    assert "redis store: … connecting to redis at …" in lines[1]
    assert "redis store: error connecting to redis at …" in "".join(lines[2:])
    assert not any("127.0.0.1" in line for line in lines), lines


def test_what_has_no_effect_is_a_note(folder: Folder) -> None:
    """Fields that no store knows, resources that nothing reads, files of other names: the exit code stays 0."""
    folder.write("a.yaml", document("a", "state.redis", "name: redisHots, value: h"))
    folder.write("b.yaml", document("b", "pubsub.redis"), "kind: Resiliency\nspec: {}\n", "kind: Subscription\n")
    folder.write("c.txt", "")
    code, lines = folder.check()

    assert code == 0
    assert begins(
        lines,
        "a.yaml:8: note: redisHots has no effect: state.redis does not know it",
        "b.yaml:6: note: Component b (pubsub.redis) is not loaded: state stores only are served here",
        "b.yaml:12: note: is no Component: nothing here reads it",
        "c.txt:1: note: is not loaded",
    ), lines


def test_resiliency(folder: Folder) -> None:
    """What is wrong with a policy or a target is told with its line, and what nothing knows, or nobody defines, too."""
    folder.write(
        "r.yaml",
        """
        kind: Resiliency
        metadata:
          name: r
        spec:
          policies:
            timeouts:
              quick: 5x
            retries:
              often:
                policy: linear
              endless:
                duration: 0
            circuitBreakers:
              odd:
                trip: consecutiveFailures >
              unknown:
                trip: foo > 1
                timeuot: 5s
          targets:
            components:
              store:
                outbound:
                  retry: nope
            actors:
              Cart:
                circuitBreaker: unknown
        """,
        "kind: Resiliency\nmetadata: {name: r}\nscopes: [other]\nspec: {policies: 7}\n",
    )
    code, lines = folder.check()

    assert code == 1
    assert begins(
        lines,
        'r.yaml:7: error: spec.policies.timeouts.quick: invalid duration "quick", 5x: time: unknown unit "x"',
        'r.yaml:10: error: spec.policies.retries.often.policy: invalid retry configuration "often"',
        "r.yaml:11: note: spec.policies.retries.endless: retries without a limit and without a wait",
        "r.yaml:15: error: spec.policies.circuitBreakers.odd.trip: invalid circuit breaker configuration",
        "r.yaml:17: note: spec.policies.circuitBreakers.unknown.trip: foo is no count",
        "r.yaml:18: note: spec.policies.circuitBreakers.unknown.timeuot has no effect: timeuot is not known",
        'r.yaml:23: error: spec.targets.components.store.outbound.retry "nope" is not defined',
        "r.yaml:25: error: spec.targets.actors.Cart.circuitBreakerScope: actor circuit breakers must include scope",
    ), lines


def test_configurations(folder: Folder, tmp_path: Path) -> None:
    """All that is wrong in each, with its line; one among the components is told to be in the wrong place."""
    wrong = f"kind: Configuration\nspec:\n  tracing:\n    stdout: {SECRET}\n  metric:\n    enabled: 7\n"
    config = tmp_path / "config.yaml"
    config.write_text(wrong)
    folder.write("a.yaml", document("a", "state.in-memory"), "kind: Configuration\nspec:\n  mtls:\n    enabled: true\n")
    code, lines = folder.check("--config", str(config))

    assert code == 1
    assert begins(
        lines,
        f"{config}:4: error: cannot unmarshal",
        f"{config}:6: error: cannot unmarshal",
        "a.yaml:9: note: a Configuration has an effect only when --config names its file",
        "a.yaml:11: note: spec.mtls: it is --enable-mtls that turns it on",
    ), lines


def test_folders_and_files_that_are_not_there(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """They are findings as all others; without any, the command says what it wants."""
    code, lines = folder.check("--resources-path", "/nowhere", "--config", "/nowhere.yaml")
    with pytest.raises(SystemExit) as refused:
        main(["check"])

    assert code == 1
    assert begins(lines, "/nowhere:1: error: ", "/nowhere.yaml:1: error: ")
    assert refused.value.code == 2
    assert "--resources-path" in capsys.readouterr().err


def test_what_cannot_be_read_to_its_end_is_told(folder: Folder) -> None:
    """Pipes, devices, what is huge, and few lines whose aliases are 10^12 values."""
    os.mkfifo(folder.path / "a.yaml")
    (folder.path / "b.yaml").symlink_to("/dev/zero")
    (folder.path / "c.yaml").symlink_to("c.yaml")
    with (folder.path / "d.yaml").open("wb") as huge:
        huge.truncate(1 << 40)
    bomb = ["l0: &l0 [x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 13))]
    folder.write("e.yaml", document("e", "state.redis") + "\n".join(bomb))
    merges = ["m0: &m0 {x: 1}", *(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 3)}]}}" for n in range(1, 30))]
    folder.write("f.yaml", document("f", "state.redis") + "\n".join(merges))
    code, lines = folder.check()

    assert code == 1
    assert begins(
        lines,
        "a.yaml:1: error: is no regular file",
        "b.yaml:1: error: is no regular file",
        "c.yaml:1: error: too many levels of symbolic links",
        "d.yaml:1: error: is larger than",
        "e.yaml:1: error: the document has more than",
        "f.yaml:1: error: the document has more than",
    ), lines


def test_connect_asks_each_store(folder: Folder, redis_server: RedisServer, postgres_server: PostgresServer) -> None:
    """Those that answer say nothing, and have nothing more in them than before."""
    postgres_server.empty("checked")
    database = postgres_server.url("checked")
    write_components(
        folder.path,
        [
            component("memory", "state.in-memory"),
            component("redis", "state.redis", redisHost=redis_server.address, redisDB="9"),
            component("sql", "state.postgresql/v2", connectionString=database),
            component("sqlite", "state.sqlite", connectionString=str(folder.path.parent / "new.db")),
        ],
    )

    with redis_server.client(db=9) as client:
        before = client.dbsize()

    assert folder.check("--connect") == (0, [])
    assert postgres_server.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database="checked") == []
    assert not (folder.path.parent / "new.db").exists()
    with redis_server.client(db=9) as client:
        assert client.dbsize() == before


def test_connect_asks_stores_of_several_servers_and_of_other_processes(  # noqa: PLR0917 - a server of each kind
    folder: Folder,
    redis_server: RedisServer,
    redis_group: Group,
    redis_cluster_servers: ClusterServers,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that are well say nothing; of the others each says what is wrong, at its own place."""
    postgres_server.empty("checked")
    behind = {"failover": "true", "redisHost": redis_group.address}
    gone = {"connectionString": postgres_server.url("nosuch")}
    well = {
        "cluster": ("state.redis", {"redisType": "cluster", "redisHost": redis_cluster_servers.address}),
        "sentinel": ("state.redis", {**behind, "sentinelMasterName": MASTER}),
        "first": ("state.postgresql/v1", {"connectionString": postgres_server.url("checked")}),
        "plugged": ("state.plugged", {}),
    }
    ill = {
        "x-cluster": ("state.redis", {"redisType": "cluster", "redisHost": redis_server.address}),
        "x-sentinel": ("state.redis", {**behind, "sentinelMasterName": "other", "redisMaxRetries": "-1"}),
        "x-first": ("state.postgresql/v1", gone),
        "x-second": ("state.postgresql/v2", gone),
        "x-plugged": ("state.unplugged", {}),
    }
    stores = [component(name, kind, **fields) for name, (kind, fields) in {**well, **ill}.items()]
    write_components(folder.path, stores)
    with PluggableComponent(folder.path.parent) as process:
        for name, value in process.environment.items():
            monkeypatch.setenv(name, value)
        code, lines = folder.check("--connect")
        told = {line.partition(".yaml")[0]: line for line in lines}

    assert (code, sorted(told)) == (1, sorted(ill))
    assert "ERR This instance has" in told["x-cluster"]
    assert "they know no master named" in told["x-sentinel"]
    assert "SQLSTATE 3D000" in told["x-first"]  # there is no such database
    assert "SQLSTATE 3D000" in told["x-second"]
    assert "state.unplugged" in told["x-plugged"]


def test_connect_leaves_a_file_of_sqlite_as_it_is(folder: Folder) -> None:
    """Not even the files that SQLite keeps beside one are made; what is no database is an error."""
    data = folder.path.parent / "data"
    data.mkdir()
    (data / "a.db").write_bytes(b"")
    (data / "b.db").write_bytes(b"no database, whatever its name says" * 40)
    write_components(
        folder.path,
        [component(name, "state.sqlite", connectionString=str(data / f"{name}.db")) for name in ("a", "b")]
        + [component("c", "state.sqlite", connectionString=f"/nowhere/{SECRET}/c.db")],
    )
    code, lines = folder.check("--connect")

    assert code == 1
    assert [line.partition(": ")[0].partition(":")[0] for line in lines] == ["b.yaml", "c.yaml"]
    assert sorted(path.name for path in data.iterdir()) == ["a.db", "b.db"]
    assert (data / "a.db").read_bytes() == b""


def test_connect_to_nobody_and_to_one_who_is_silent(folder: Folder) -> None:
    """Both are errors: the second one after the component's own time, and neither shows a password."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgres://user:{SECRET}@127.0.0.1:1/db"
        slow = document("b", "state.redis", f"name: redisHost, value: '127.0.0.1:{port}'")
        folder.write("a.yaml", document("a", "state.postgresql", f"name: connectionString, value: '{url}'"))
        folder.write("b.yaml", slow.replace("spec:", "spec:\n  initTimeout: 200ms"))
        code, lines = folder.check("--connect")

    assert code == 1
    assert begins(lines, "a.yaml:6: error: ", "b.yaml:7: error: "), lines
    assert "init timeout for component b" in lines[1]
