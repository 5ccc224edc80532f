"""What a retry and a circuit breaker cost a get in which nothing fails: with them and without, in turns."""

from __future__ import annotations

import asyncio
import gc
import time

from dapr_state.api.state import BoundStore, State
from dapr_state.clock import WAITING
from dapr_state.resiliency.breaker import Breaker
from dapr_state.resiliency.guard import Guard
from dapr_state.resiliency.policies import BreakerRule, Chosen, Named, Retry
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Upsert
from dapr_state.stores.resilient import ResilientStore

GETS = 20_000
ROUNDS = 15


async def main() -> None:
    store = MemoryStore()
    await store.open()
    await store.write([Upsert("app||k", b"v" * 100)])
    rule = BreakerRule()
    chosen = Chosen(None, Named("retry", Retry(max_retries=3)), Named("breaker", rule))
    guard = Guard("component[st] output", chosen, Breaker("breaker-st", rule, WAITING.monotonic))
    plain = State("app", {"st": BoundStore("st", "app||", store)})
    under = State("app", {"st": BoundStore("st", "app||", ResilientStore(store, guard))})
    gc.disable()
    times = [(await spent(plain), await spent(under)) for _ in range(ROUNDS)]
    without, with_them = (min(column) for column in zip(*times, strict=True))
    print(
        f"a get in the process: {without:.2f} us without policies, {with_them:.2f} with, {with_them - without:.2f} more"
    )


async def spent(state: State) -> float:
    """Microseconds of the processor for one get."""
    began = time.process_time()
    for _ in range(GETS):
        await state.get("st", "k")
    return (time.process_time() - began) / GETS * 1e6


if __name__ == "__main__":
    asyncio.run(main())
