"""Several are asked the same, and many ask the same: nobody waits for who is late, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc

from dapr_state.stores.base import StoreError
from dapr_state.stores.redis.asking import Shared, answers


async def test_a_question_that_fails_as_it_is_given_up_is_no_fault_of_the_program() -> None:
    """It has ended when the answers are there, and its error is nobody's."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))

    async def fails_late() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            raise StoreError("the connection was closed")

    async def answered() -> str:
        return "here"

    found = await answers([answered(), fails_late()], 1)
    left = len(asyncio.all_tasks())
    gc.collect()
    await asyncio.sleep(0)

    assert (found, left, told) == (["here"], 1, [])


async def test_who_asks_while_others_are_answered_has_the_next_answer() -> None:
    """One at a time, whoever goes away meanwhile; an error is for those who asked for it."""
    begun: list[asyncio.Event] = []
    reasons = ["down"]

    async def ask() -> None:
        begun.append(asyncio.Event())
        await begun[-1].wait()
        if reasons:
            raise StoreError(reasons.pop())

    shared = Shared(ask)
    first = [asyncio.ensure_future(shared.now()) for _ in range(3)]
    await asyncio.sleep(0)
    later = [asyncio.ensure_future(shared.now()) for _ in range(3)]
    await asyncio.sleep(0)
    later[0].cancel()
    at_first = len(begun)
    begun[0].set()
    ends = await asyncio.gather(*first, return_exceptions=True)
    begun[-1].set()
    await asyncio.gather(*later[1:])
    never = asyncio.ensure_future(shared.now())
    await asyncio.sleep(0)
    await shared.close()

    assert (at_first, len(begun)) == (1, 2)
    assert [str(end) for end in ends] == ["down"] * 3
    assert [later[0].cancelled(), never.cancelled() or never.done()] == [True, True]
