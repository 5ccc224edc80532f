"""Every fault, met by an application with the official Python SDK: it is told what a real failure would tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.plugin.test_examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.conftest import Run

TESTS = r"""
import asyncio, threading, time
import pytest, shop
from dapr.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._request import TransactionalStateOperation, TransactionOperationType

STORE = "statestore"

@pytest.fixture(scope="module")
def carts(dapr_app_module):
    return dapr_app_module.serve(shop.app)

@pytest.fixture
def sdk(dapr):
    with DaprClient() as client:
        yield client

def transact(sdk, key):
    put = TransactionalStateOperation(key=key, data="1", operation_type=TransactionOperationType.upsert)
    sdk.execute_state_transaction(STORE, [put])

ASKED = {
    "get": lambda sdk: sdk.get_state(STORE, "cart-1"),
    "write": lambda sdk: sdk.save_state(STORE, "cart-1", "1"),
    "transact": lambda sdk: transact(sdk, "cart-1"),
}

@pytest.mark.parametrize("on", ASKED)
def test_a_store_fails(dapr, sdk, on):
    with dapr.fail(on, key="cart-", error="disk full") as fault:
        with pytest.raises(DaprGrpcError, match="disk full") as caught:
            ASKED[on](sdk)
    assert (caught.value.code().name, fault.hits) == ("INTERNAL", 1)
    assert "cart-1" not in dapr.state()
    ASKED[on](sdk)

def test_any_call_of_a_store(dapr, sdk):
    with dapr.fail("any", store=STORE, times=3) as fault:
        for ask in ASKED.values():
            with pytest.raises(DaprGrpcError):
                ask(sdk)
    assert fault.hits == 3

def test_only_these_keys_and_times(dapr, sdk):
    with dapr.fail("write", key="cart", after=1, times=2) as fault:
        sdk.save_state(STORE, "other", "1")
        outcomes = []
        for _ in range(5):
            try:
                sdk.save_state(STORE, "cart", "1")
            except DaprGrpcError:
                outcomes.append("failed")
            else:
                outcomes.append("saved")
    assert (outcomes, fault.hits) == (["saved", "failed", "failed", "saved", "saved"], 2)

def test_now_and_then(dapr, sdk):
    def outcomes():
        with dapr.fail("write", times=0, probability=0.5, seed=7):
            found = []
            for _ in range(20):
                try:
                    sdk.save_state(STORE, "cart", "1")
                except DaprGrpcError:
                    found.append(1)
                else:
                    found.append(0)
            return found
    first = outcomes()
    assert 0 < sum(first) < 20 and outcomes() == first

def test_a_conflict(dapr, sdk):
    with dapr.conflict(key="cart"):
        with pytest.raises(DaprGrpcError, match="possible etag mismatch") as caught:
            sdk.save_state(STORE, "cart", "1", etag="1")
    assert caught.value.code().name == "ABORTED"

@pytest.mark.parametrize("on", ["write", "transact"])
def test_a_lost_answer_of_the_store(dapr, sdk, on):
    with dapr.lose_answer(on):
        with pytest.raises(DaprGrpcError):
            ASKED[on](sdk)
    assert "cart-1" in dapr.state()

def test_a_slow_store(dapr, sdk):
    with dapr.delay("get", 0.3):
        began = time.monotonic()
        sdk.get_state(STORE, "cart")
    assert time.monotonic() - began >= 0.3

def test_a_store_that_hangs(dapr, sdk):
    failed = []
    def ask():
        try:
            with DaprClient() as other:
                other.get_state(STORE, "cart")
        except DaprGrpcError as error:
            failed.append(error.details())
    asking = threading.Thread(target=ask)
    with dapr.hang("get") as fault:
        asking.start()
        while not fault.hits:
            time.sleep(0.01)
        assert asking.is_alive() and not failed
    asking.join()
    assert "the fault was taken away" in failed[0]

@pytest.mark.parametrize("how", ["fail", "drop", "lose_answer"])
def test_the_application(dapr, carts, how):
    cart = dapr.actor("Cart", "1")
    with getattr(dapr, how)("app", actor="Cart/1", method="Add"):
        with pytest.raises(Exception, match="EOF|error from actor service"):
            cart.invoke("Add", 1)
    assert cart.invoke("Add", 1) == (2 if how == "lose_answer" else 1)

def test_a_slow_application(dapr, carts):
    with dapr.delay("app", "300ms", actor="Cart"):
        began = time.monotonic()
        dapr.actor("Cart", "1").invoke("Add", 1)
    assert time.monotonic() - began >= 0.3

def test_ticks(dapr, carts):
    cart = dapr.actor("Cart", "1")
    cart.invoke("RemindDaily")
    with dapr.drop("reminder", actor="Cart", method="daily") as lost:
        dapr.clock.advance("3d")
    assert (lost.hits, cart.state.json("reminded")) == (1, 2)

def test_the_api(dapr, sdk, carts):
    for how in ("fail", "lose_answer"):
        with getattr(dapr, how)("api", method="SaveState") as fault:
            try:
                sdk.save_state(STORE, how, "1")
            except DaprGrpcError as error:
                assert error.code().name == "UNAVAILABLE"
        assert fault.hits == 1
    with dapr.delay("api", 0.3, method="SaveState"):
        began = time.monotonic()
        sdk.save_state(STORE, "k", "1")
    assert time.monotonic() - began >= 0.3

def test_a_connection_that_is_reset(dapr, sdk):
    sdk.save_state(STORE, "k", "0")
    with dapr.drop("api", method="SaveState") as fault:
        try:
            sdk.save_state(STORE, "k", "1")
        except DaprGrpcError as error:
            assert error.code().name == "UNAVAILABLE"
    assert fault.hits == 1
    sdk.save_state(STORE, "k", "2")
    assert dapr.state()["k"] == b"2"

def test_a_server_that_goes_away(dapr, sdk):
    with dapr.goaway(method="SaveState") as fault:
        sdk.save_state(STORE, "k", "1")
        sdk.save_state(STORE, "k", "2")
    assert fault.hits == 1
    assert dapr.state()["k"] == b"2"

def test_over_http(dapr, carts):
    with dapr.drop("api", method="InvokeActor"):
        with pytest.raises(Exception):
            dapr.actor("Cart", "1").invoke("Add", 1)
    assert dapr.actor("Cart", "1").invoke("Add", 1) == 1

@pytest.mark.anyio
async def test_who_would_wait_for_himself_is_told(dapr, dapr_app):
    async with dapr_app.aserve(shop.app):
        with pytest.raises(RuntimeError, match=r"use await dapr.clock.aadvance\(...\)"):
            dapr.clock.advance("1s")
        with pytest.raises(RuntimeError, match=r"use await dapr.actor\(...\).ainvoke"):
            dapr.actor("Cart", "1").invoke("Add", 1)
        assert await dapr.actor("Cart", "1").ainvoke("Add", 1) == 1
        await dapr.await_idle()

def test_a_crash_and_a_pause(dapr, sdk):
    dapr.restart(kill=True)
    sdk.save_state(STORE, "k", "1")
    began = time.monotonic()
    pausing = threading.Thread(target=dapr.pause, args=(0.3,))
    pausing.start()
    time.sleep(0.05)
    sdk.get_state(STORE, "k")
    pausing.join()
    assert time.monotonic() - began >= 0.3
"""

TICKER = r"""
import datetime, dapr.actor, fastapi
from contextlib import asynccontextmanager
from dapr.ext.fastapi import DaprActor

MINUTE = datetime.timedelta(minutes=1)

class TickerInterface(dapr.actor.ActorInterface):
    @dapr.actor.actormethod(name="Start")
    async def start(self): ...
    @dapr.actor.actormethod(name="Remind")
    async def remind(self): ...

class Ticker(dapr.actor.Actor, TickerInterface, dapr.actor.Remindable):
    async def start(self):
        await self.register_timer("t", self.tick, b"", MINUTE, MINUTE)
    async def remind(self):
        await self.register_reminder("r", b"", MINUTE, MINUTE)
    async def receive_reminder(self, name, state, due_time, period, ttl):
        await self.tick(state)
    async def tick(self, state):
        has, ticks = await self._state_manager.try_get_state("ticks")
        await self._state_manager.set_state("ticks", ticks + 1 if has else 1)
        await self._state_manager.save_state()

@asynccontextmanager
async def lifespan(app):
    await actors.register_actor(Ticker)
    yield

app = fastapi.FastAPI(lifespan=lifespan)
actors = DaprActor(app)
"""
TICKS = r"""
import time
import pytest, ticker

@pytest.fixture(scope="module")
def tickers(dapr_app_module):
    return dapr_app_module.serve(ticker.app)

@pytest.fixture
def ticking(dapr, tickers):
    dapr.expect_error("Error executing timer: Ticker||1||t")
    found = dapr.actor("Ticker", "1")
    found.invoke("Start")
    return found

@pytest.mark.parametrize("how, came, failures", [("fail", 2, 1), ("drop", 2, 0), ("lose_answer", 3, 1)])
def test_a_tick(dapr, ticking, how, came, failures):
    with getattr(dapr, how)("timer", actor="Ticker/1", method="t") as fault:
        moved = dapr.clock.advance("3m")
    assert (fault.hits, ticking.state.json("ticks"), len(moved.failures)) == (1, came, failures)
    dapr.clock.advance("1m")
    assert ticking.state.json("ticks") == came + 1

def test_a_slow_tick(dapr, ticking):
    with dapr.delay("timer", 0.3, actor="Ticker"):
        began = time.monotonic()
        assert dapr.clock.advance("1m").timers == 1
    assert time.monotonic() - began >= 0.3

def test_a_tick_that_hangs(dapr, ticking):
    with dapr.hang("timer") as fault:
        with pytest.raises(Exception, match="Ticker/1 timer t for"):
            dapr.clock.advance("1m", patience=1)
    assert fault.hits == 1
    dapr.wait_idle()
    dapr.clock.advance("1m")
    assert ticking.state.json("ticks") == 1

@pytest.fixture
def reminded(dapr, tickers):
    found = dapr.actor("Ticker", "1")
    found.invoke("Remind")
    return found

# one whose delivery or answer fails comes once more, in its time
@pytest.mark.parametrize("how, came", [("fail", 3), ("drop", 2), ("lose_answer", 4)])
def test_a_reminder(dapr, reminded, how, came):
    dapr.expect_error("reminder")
    with getattr(dapr, how)("reminder", actor="Ticker/1", method="r", times=1) as fault:
        dapr.clock.advance("3m")
    assert (fault.hits, reminded.state.json("ticks")) == (1, came)

def test_a_slow_reminder(dapr, reminded):
    with dapr.delay("reminder", 0.3, actor="Ticker"):
        began = time.monotonic()
        assert dapr.clock.advance("1m").reminders == 1
    assert time.monotonic() - began >= 0.3

def test_a_store_that_fails_in_a_tick(dapr, ticking):
    with dapr.fail("transact", error="disk full") as fault:
        moved = dapr.clock.advance("2m")
    assert (fault.hits, len(moved.failures), ticking.state.json("ticks")) == (1, 1, 1)
"""


def test_every_fault_is_met_by_the_sdk(run: Callable[..., Run]) -> None:
    """Of stores, the application, ticks, the API, connections and the process."""
    done = run({"shop.py": examples()["shop.py"], "test_faults.py": TESTS}, "-W", "ignore")

    assert done.code == 0, done.output


def test_every_fault_of_timers_and_reminders_is_met_by_the_sdk(run: Callable[..., Run]) -> None:
    """A tick fails, is lost, slow or hangs, or its store does: the next one comes in its time."""
    done = run({"ticker.py": TICKER, "test_ticks.py": TICKS}, "-W", "ignore")

    assert done.code == 0, done.output
