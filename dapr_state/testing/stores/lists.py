"""Lists by prefix: pages that hold each row, whatever is written between them, and nothing of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.stores import paging
from dapr_state.stores.base import Page, StoreError
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.testing.stores.asking import put, row_of
from dapr_state.testing.stores.declaring import Ability, Kind, having

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dapr_state.stores.base import StateStore

TTL = 2
KEYS = [
    *("a", "a%", "a%b", "a_", "a_b", "ab", "a*", "a?", "a[", "a[b]", "a]", "a\\", "a\\%", "a'", 'a"', "a||b||c"),
    *("A", "b", "", "a\x01", "a\nb", "\u00e9", "\u00e9\u00e9", "e\u0301", "\ud7ff", "\ue000", "\ue000a"),
    *("a\uffff", "a\uffffb", "\U0001f600", "\U0001f600x", "\U0010ffff", "\U0010ffff\U0010ffff", "a\U0010ffffz"),
]
NUL_KEYS = ["a\0", "a\0b"]


def keys_for(kind: Kind) -> list[str]:
    return KEYS + NUL_KEYS if Ability.NUL_KEY in kind.declaration.abilities else KEYS


async def pages_of(store: StateStore, prefix: str, limit: int) -> list[Page]:
    """All pages of a list."""
    pages = [await store.list(prefix, limit=limit)]
    while pages[-1].after:
        pages.append(await store.list(prefix, after=pages[-1].after, limit=limit))
    return pages


def keys_of(pages: Sequence[Page]) -> list[str]:
    return [entry.key for page in pages for entry in page.entries]


def told(kind: Kind, keys: Iterable[str]) -> list[str]:
    """In order; what a store without order may tell twice counts once."""
    return sorted(keys if Feature.ORDER in kind.declaration.features else set(keys))


@having(Feature.LIST)
@pytest.mark.parametrize("limit", [1, 2, 7, 1000, 10**9])
async def test_a_list_holds_what_begins_with_the_prefix(kind: Kind, limit: int) -> None:
    """Every key as a prefix, and some that are no keys: characters that mean something elsewhere mean themselves."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v") for key in keys_for(kind)))
        prefixes = [*keys_for(kind), "c", "a||", "a||b", "\u00ea", "\U0010fffe"]
        found = {prefix: told(kind, keys_of(await pages_of(store, prefix, limit))) for prefix in prefixes}

    assert found == {prefix: sorted(key for key in keys_for(kind) if key.startswith(prefix)) for prefix in prefixes}


@having(Feature.LIST)
async def test_an_entry_is_the_row_that_get_gives(kind: Kind) -> None:
    """Value, etag and expiry; binary, JSON and empty values alike."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"\xff\0", ttl=1000), Upsert("b", b'{"x": 1}', is_json=True), Upsert("c", b""))
        entries = [entry for page in await pages_of(store, "", 10) for entry in page.entries]
        got = await store.get([entry.key for entry in entries])

        assert {entry.key: entry.row for entry in entries} == {key: await row_of(store, key) for key in ("a", "b", "c")}
        assert [entry.row for entry in entries] == got


@having(Feature.LIST)
@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_no_page_is_larger_than_asked_for(kind: Kind, limit: int) -> None:
    """And a row comes, once where the store has an order."""
    async with kind.opened() as store:
        await put(store, *(Upsert(f"k{number:02}", b"v") for number in range(10)))
        pages = await pages_of(store, "k", limit)

    assert max(len(page.entries) for page in pages) <= limit
    assert told(kind, keys_of(pages)) == [f"k{number:02}" for number in range(10)]


@having(Feature.LIST)
async def test_a_page_is_bounded_however_much_is_asked_for(kind: Kind) -> None:
    """In entries and in octets; a value that is larger than a page comes alone."""
    async with kind.opened() as store:
        large = b"x" * (paging.OCTETS_AT_MOST + 1)
        await put(store, *(Upsert(f"few{number}", large) for number in range(3)))
        await put(store, *(Upsert(f"many{number}", b"x") for number in range(paging.ENTRIES_AT_MOST + 1)))
        few, many = await pages_of(store, "few", 10**9), await pages_of(store, "many", 10**9)

    assert [len(page.entries) for page in few if page.entries] == [1, 1, 1]
    assert told(kind, keys_of(few)) == ["few0", "few1", "few2"]
    assert max(len(page.entries) for page in many) <= paging.ENTRIES_AT_MOST
    assert len(told(kind, keys_of(many))) == len({*keys_of(many)}) == paging.ENTRIES_AT_MOST + 1


@having(Feature.LIST)
@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_what_does_not_change_is_neither_skipped_nor_repeated(kind: Kind, limit: int) -> None:
    """While others are written and deleted between the pages, before, behind and at the place where a page ended."""
    async with kind.opened() as store:
        await put(store, *(Upsert(f"stays{number:02}", b"v") for number in range(0, 40, 2)))
        await put(store, *(Upsert(f"stays{number:02}!", b"v") for number in range(0, 40, 4)))
        page = await store.list("stays", limit=limit)
        seen = keys_of([page])
        number = 0
        while page.after:
            number += 1
            going = [key for key in seen[-1:] if key.endswith("!")]
            await put(store, *(Delete(key) for key in going), Upsert(f"stays{number % 40:02}new", b"v"))
            await put(store, Delete(f"stays{(number * 7) % 40:02}new"), Delete(f"stays{(number * 4) % 40:02}!"))
            page = await store.list("stays", after=page.after, limit=limit)
            seen += keys_of([page])

    staying = [key for key in seen if key.removeprefix("stays").isdigit()]
    assert told(kind, staying) == [f"stays{number:02}" for number in range(0, 40, 2)]


@having(Feature.LIST)
async def test_a_list_goes_on_behind_a_key_that_is_gone(kind: Kind) -> None:
    """The token outlives the row at which the page ended."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v") for key in "abcd"))
        first = await store.list("", limit=2)
        await put(store, *(Delete(entry.key) for entry in first.entries))
        rest = await pages_of_rest(store, first.after)

    assert told(kind, keys_of([first, *rest])) == ["a", "b", "c", "d"]


async def pages_of_rest(store: StateStore, after: str) -> list[Page]:
    pages = []
    while after:
        pages.append(await store.list("", after=after, limit=2))
        after = pages[-1].after
    return pages


@having(Feature.LIST, Feature.TTL)
async def test_expired_rows_are_in_no_list(kind: Kind) -> None:
    """However many there are between those that live."""
    async with kind.opened() as store:
        await put(store, *(Upsert(f"k{number:02}", b"v", ttl=TTL if number % 5 else None) for number in range(30)))
        await kind.until_gone(store, "k29", TTL)
        pages = await pages_of(store, "k", 2)

    assert told(kind, keys_of(pages)) == [f"k{number:02}" for number in range(0, 30, 5)]


@having(Feature.LIST)
async def test_a_deleted_and_a_rewritten_key_are_listed_as_they_are(kind: Kind) -> None:
    """In transactions that were refused too: they leave no trace."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"1"), Upsert("b", b"1"), Upsert("c", b"1"))
        await put(store, Delete("a"), Upsert("b", b"2"), Delete("c"), Upsert("c", b"2"))
        with pytest.raises(StoreError):
            await store.transact([Delete("b"), Upsert("d", b"1"), Delete("c", etag=kind.foreign_etag)])
        entries = [entry for page in await pages_of(store, "", 10) for entry in page.entries]

        assert {entry.key: entry.row.value for entry in entries if isinstance(entry.row, StoredValue)} == {
            "b": b"2",
            "c": b"2",
        }


@having(Feature.LIST)
@pytest.mark.parametrize("token", ["nonsense", "a", "AAAA", "eDE6YQ==", "\u00e9"])
async def test_a_token_that_no_list_gave_is_refused(kind: Kind, token: str) -> None:
    """Rather than begin somewhere."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"v"), Upsert("b", b"v"))

        with pytest.raises(StoreError, match=r"^the token to go on with was not given by this list$"):
            await store.list("", after=token, limit=1)


@having(Feature.LIST)
async def test_a_token_of_another_prefix_is_refused(kind: Kind) -> None:
    """It would show the rows of others."""
    async with kind.opened() as store:
        await put(store, *(Upsert(f"{app}||{number}", b"v") for app in ("mine", "theirs") for number in range(3)))
        page = await store.list("theirs||", limit=1)

        with pytest.raises(StoreError, match=r"^the token to go on with was not given by this list$"):
            await store.list("mine||", after=page.after, limit=1)


@having(Feature.LIST)
@pytest.mark.parametrize("limit", [0, -1])
async def test_a_page_without_room_is_refused(kind: Kind, limit: int) -> None:
    """It could never come to an end."""
    async with kind.opened() as store:
        with pytest.raises(StoreError, match=rf"^a page must have room for one entry or more, not {limit}$"):
            await store.list("", limit=limit)


@having(Feature.LIST, Ability.ANY_KEY)
async def test_keys_that_are_no_text_are_listed(kind: Kind) -> None:
    """And gone on behind."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v") for key in ("\udc80", "\udc80a", "\udc80b", "z")))
        pages = await pages_of(store, "\udc80", 1)

    assert told(kind, keys_of(pages)) == ["\udc80", "\udc80a", "\udc80b"]


@having(Feature.LIST)
async def test_a_closed_store_lists_nothing(kind: Kind) -> None:
    """As with every other call."""
    async with kind.opened() as store:
        pass
    with pytest.raises(StoreError):
        await store.list("", limit=1)


@having(Feature.LIST, Feature.ORDER)
async def test_lists_of_memory_and_sql_are_in_the_order_of_keys(kind: Kind) -> None:
    """By code points, on both."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v") for key in keys_for(kind)))
        pages = await pages_of(store, "", 3)

    assert keys_of(pages) == sorted(keys_for(kind))
