"""Our sidecar and the real daprd side by side: the same requests in turns, medians of their ratios.

    scripts/bench                                  all stores, five rounds; prints a table
    scripts/bench --stores redis --only get,save   some of it
    scripts/bench --soak 600                       this sidecar alone under load: its memory, ten times
    scripts/bench --metrics                        this sidecar without metrics and with: CPU per request
    scripts/bench --hosts                          actors that live on another host; --hosts secured: with mTLS

Ratios above 1 mean that this sidecar is ahead: requests per second ours/theirs, CPU per request theirs/ours. Rounds
alternate, so what else the machine does hits both. Needs h2load and wrk (Debian: nghttp2-client, wrk) and redis-server.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.support, which starts the servers

from dapr_state_proto.common.v1 import common_pb2
from dapr_state_proto.runtime.v1 import state_pb2

from scripts.bench_hosts import compare
from tests.support import oracle
from tests.support.components import component
from tests.support.redis import RedisServer
from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

STORES = ("redis", "sqlite", "memory")
SERVICE = "/dapr.proto.runtime.v1.Dapr/"
REQUESTS = 20_000  # of a round, for the cheapest operations
LONG = 5  # times as many where differences are small: the kernel counts CPU in hundredths of a second
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Operation:
    """One kind of call, and how much of it makes a round."""

    method: str
    request: Callable[[str, bytes], Message]
    share: float = 1.0
    clients: int = 8
    streams: int = 10


def _item(key: str, value: bytes) -> common_pb2.StateItem:
    return common_pb2.StateItem(key=key, value=value)


def _save(store: str, value: bytes, keys: Sequence[str]) -> Message:
    return state_pb2.SaveStateRequest(store_name=store, states=[_item(key, value) for key in keys])


def _transaction(store: str, value: bytes) -> Message:
    operations = [
        state_pb2.TransactionalStateOperation(operationType="upsert", request=_item(f"t{n}", value)) for n in range(10)
    ]
    return state_pb2.ExecuteStateTransactionRequest(storeName=store, operations=operations)


HUNDRED = [f"b{n}" for n in range(100)]
GET = Operation("GetState", lambda store, _: state_pb2.GetStateRequest(store_name=store, key="k1"))
OPERATIONS = {
    "get": GET,
    "get-alone": Operation(GET.method, GET.request, 0.1, 1, 1),
    "save": Operation("SaveState", lambda store, value: _save(store, value, ["k1"]), 0.5),
    "delete": Operation(
        "DeleteState", lambda store, _: state_pb2.DeleteStateRequest(store_name=store, key="gone"), 0.5
    ),
    "save-100": Operation("SaveState", lambda store, value: _save(store, value, HUNDRED), 0.03, 8, 4),
    "bulk-get-100": Operation(
        "GetBulkState", lambda store, _: state_pb2.GetBulkStateRequest(store_name=store, keys=HUNDRED), 0.04, 8, 4
    ),
    "transaction-10": Operation("ExecuteStateTransaction", _transaction, 0.1),
}
HTTP_GET = "http-get"


def main() -> None:
    arguments = _arguments()
    for tool in ("h2load", "wrk", "redis-server"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install nghttp2-client wrk redis-server")
    if arguments.hosts:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), arguments.rounds, secured=arguments.hosts == "secured")
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        bench = Bench(Path(folder), running, arguments)
        if arguments.soak:
            bench.soak(arguments.soak)
        elif arguments.metrics:
            bench.price_metrics()
        else:
            bench.compare()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=_words, default=list(STORES))
    parser.add_argument("--only", type=_words, default=[*OPERATIONS, HTTP_GET], help="operations, CSV")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--values", type=int, default=100, help="bytes a value")
    parser.add_argument("--daprd", type=Path, help="the daprd to compare with (default: the one that the tests use)")
    parser.add_argument("--soak", type=int, metavar="SECONDS", help="load this sidecar alone, and watch its memory")
    parser.add_argument("--metrics", action="store_true", help="what metrics cost, instead of a comparison")
    parser.add_argument(
        "--hosts", nargs="?", const="plain", choices=("plain", "secured"), help="two hosts (bench_hosts.py)"
    )
    return parser.parse_args()


def _words(text: str) -> list[str]:
    return text.split(",")


class Bench:
    def __init__(self, folder: Path, running: ExitStack, arguments: argparse.Namespace) -> None:
        self._folder = folder
        self._running = running
        self._arguments = arguments
        self._value = b"x" * arguments.values
        self._redis = running.enter_context(RedisServer(folder))

    def compare(self) -> None:
        daprd = self._arguments.daprd or oracle.program("daprd")
        ours = self._running.enter_context(Sidecar(self._folder, self._components("ours")))
        theirs = self._running.enter_context(Daprd(daprd, self._folder, self._components("daprd")))
        sides = (ours, theirs)
        idle = [memory(side) for side in sides]
        print("| store | operation | ours/s | daprd/s | ratio | CPU ratio |\n|---|---|--:|--:|--:|--:|")
        for store in self._arguments.stores:
            self._seed(store, sides)
            for name in self._arguments.only:
                self._compare_one(store, name, sides)
        loaded = [memory(side) for side in sides]
        print(
            f"\nmemory: {idle[0]:.0f} MB idle, {loaded[0]:.0f} MB after the load (daprd {idle[1]:.0f}, {loaded[1]:.0f})"
        )

    def soak(self, seconds: int) -> None:
        """Every operation on every store in turn, and after each tenth of the time what the process holds."""
        side = self._running.enter_context(Sidecar(self._folder, self._components("ours")))
        pairs = [(store, name) for store in self._arguments.stores for name in self._arguments.only]
        for store in self._arguments.stores:
            self._seed(store, (side,))
        print(f"idle {memory(side):.1f} MB", flush=True)
        share, done = seconds / 10 / len(pairs), 0
        for tenth in range(1, 11):
            for store, name in pairs:
                done += self._run_for(side, store, name, share)
            print(f"{tenth * 10} %: {memory(side):.1f} MB after {done} requests", flush=True)

    def price_metrics(self) -> None:
        """CPU per request in us, the least of all rounds: whatever else the machine does can only add to it.

        Each round has processes of its own: two of the same kind differ by up to a tenth.
        """
        costs: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
        for number in range(self._arguments.rounds):
            for index in (0, 1) if number % 2 else (1, 0):  # whoever comes first finds another machine
                flags = (f"--enable-metrics={('false', 'true')[index]}",)
                with Sidecar(self._folder, self._components("ours"), flags=flags) as side:
                    for store in self._arguments.stores:
                        self._seed(store, (side,))
                        for name in self._arguments.only:
                            _, cost = self._cost(side, store, name, LONG)
                            costs.setdefault((store, name), ([], []))[index].append(1e6 * cost)
        print("| store | operation | without | with | more |\n|---|---|--:|--:|--:|")
        for (store, name), both in costs.items():
            without, with_them = map(min, both)
            print(f"| {store} | {name} | {without:.2f} | {with_them:.2f} | {with_them / without - 1:.1%} |")

    def _components(self, who: str) -> list[dict[str, object]]:
        kinds = {
            "redis": component("redis", "state.redis", redisHost=self._redis.address, redisPassword=""),
            "sqlite": component("sqlite", "state.sqlite", connectionString=str(self._folder / f"{who}.db")),
            "memory": component("memory", "state.in-memory"),
        }
        return [kinds[store] for store in self._arguments.stores]

    def _seed(self, store: str, sides: Sequence[Sidecar]) -> None:
        for side in sides:
            with side.client() as client:
                for keys in (["k1"], HUNDRED):
                    reply = client.call("SaveState", _save(store, self._value, keys))
                    if not reply.ok:
                        sys.exit(f"{side!r} cannot save in {store}: {reply.message}")

    def _compare_one(self, store: str, name: str, sides: Sequence[Sidecar]) -> None:
        rates: list[list[float]] = [[], []]
        costs: list[list[float]] = [[], []]
        for _ in range(self._arguments.rounds):
            for index, side in enumerate(sides):
                rate, cost = self._cost(side, store, name)
                rates[index].append(rate)
                costs[index].append(cost)
        ratio = statistics.median(ours / theirs for ours, theirs in zip(*rates, strict=True))
        relief = statistics.median(costs[1]) / max(statistics.median(costs[0]), 1e-9)
        ours, theirs = map(statistics.median, rates)
        print(f"| {store} | {name} | {ours:.0f} | {theirs:.0f} | {ratio:.2f} | {relief:.2f} |", flush=True)

    def _cost(self, side: Sidecar, store: str, name: str, times: int = 1) -> tuple[float, float]:
        """Requests per second of a round, and seconds of CPU per request."""
        before = cpu(side)
        rate, requests = self._round(side, store, name, times)
        return rate, (cpu(side) - before) / requests

    def _round(self, side: Sidecar, store: str, name: str, times: int) -> tuple[float, int]:
        if name == HTTP_GET:
            return wrk(side, store, 3)
        operation = OPERATIONS[name]
        count = max(int(times * REQUESTS * operation.share), operation.clients * operation.streams)
        return self._h2load(side, store, operation, ["-n", str(count)])

    def _run_for(self, side: Sidecar, store: str, name: str, seconds: float) -> int:
        if name == HTTP_GET:
            return wrk(side, store, max(1, round(seconds)))[1]
        return self._h2load(side, store, OPERATIONS[name], ["-D", str(max(1, round(seconds)))])[1]

    def _h2load(self, side: Sidecar, store: str, operation: Operation, amount: Sequence[str]) -> tuple[float, int]:
        body = self._folder / "request"
        message = operation.request(store, self._value).SerializeToString()
        body.write_bytes(b"\0" + len(message).to_bytes(4) + message)
        url = f"http://{side.address}{SERVICE}{operation.method}"
        load = ["-c", str(operation.clients), "-m", str(operation.streams), "-d", str(body)]
        out = _output("h2load", *amount, *load, "-H", "content-type: application/grpc", "-H", "te: trailers", url)
        total, ok = map(int, re.findall(r"requests: (\d+) total.* (\d+) succeeded", out)[0])
        if total != ok:
            sys.exit(f"{total - ok} of {total} calls of {operation.method} failed")
        return float(re.findall(r"([\d.]+) req/s", out)[0]), total


def wrk(side: Sidecar, store: str, seconds: int) -> tuple[float, int]:
    url = f"http://127.0.0.1:{side.http_port}/v1.0/state/{store}/k1"
    out = _output("wrk", "-t1", "-c32", f"-d{seconds}", url)
    if "Non-2xx" in out:
        sys.exit(f"{url} does not answer as it should")
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", out)[0]), int(re.findall(r"(\d+) requests in", out)[0])


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def cpu(side: Sidecar) -> float:
    """Seconds of CPU that the process has used."""
    fields = Path(f"/proc/{side.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(side: Sidecar) -> float:
    """Resident megabytes."""
    status = Path(f"/proc/{side.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


if __name__ == "__main__":
    main()
