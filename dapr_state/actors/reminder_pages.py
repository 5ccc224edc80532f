"""Where each reminder is kept: pages, which are rows of the actor state store with some twenty reminders each.

A store cannot list its keys, so something must know what there is. One index would grow with the reminders and be
written at each registration; here the pages are the index: they are numbered, one row says up to which number, and a
registration writes one page of 4 KiB, with all others of the same moment. Nothing is kept twice, so nothing can
disagree. Pages are filled again when reminders end; their number follows the most reminders that there ever were.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from dapr_state.actors.reminder import Key, Reminder  # noqa: TC001  msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE_BYTES: Final = 4096  # a larger reminder has a page of its own
GROWTH: Final = 8  # pages that are added at once, so that the row with their number is written rarely
_ROOMY: Final = PAGE_BYTES * 7 // 8  # up to here a page may be worth a look
_LOOKS: Final = 8  # such pages that are tried before an empty one is taken

_FRAME: Final = 110  # bytes of a record without its texts

_encode: Final = msgspec.json.Encoder().encode


class PageRecord(Struct, frozen=True):
    reminders: list[Reminder]


class DirectoryRecord(Struct, frozen=True):
    pages: int


_page_decoder: Final = msgspec.json.Decoder(PageRecord)
_directory_decoder: Final = msgspec.json.Decoder(DirectoryRecord)


class Change(Struct, frozen=True):
    """Keep this reminder under its key, or none. With `registration`, only in the place of that one."""

    key: Key
    reminder: Reminder | None
    registration: str = ""
    only_new: bool = False


class Page(Struct, eq=False):
    reminders: dict[Key, Reminder]
    size: int = 0  # bytes, about

    def accepts(self, size: int) -> bool:
        return not self.reminders or self.size + size <= PAGE_BYTES


class Pages:
    """What is in the store, and which page is where; a Draft changes it."""

    def __init__(self) -> None:
        self.pages: dict[int, Page] = {}
        self._where: dict[Key, int] = {}
        self._roomy: set[int] = set()
        self._empty: set[int] = set()

    def __repr__(self) -> str:
        return f"<Pages {len(self.pages)} with {len(self._where)} reminders>"

    def __len__(self) -> int:
        return len(self._where)

    def __iter__(self) -> Iterator[Reminder]:
        for page in self.pages.values():
            yield from page.reminders.values()

    def page_of(self, key: Key) -> int | None:
        return self._where.get(key)

    def get(self, key: Key) -> Reminder | None:
        number = self._where.get(key)
        return None if number is None else self.pages[number].reminders[key]

    def set(self, number: int, page: Page) -> None:
        """It is in the store now."""
        before = self.pages.get(number)
        for key in before.reminders if before else ():
            if self._where.get(key) == number:
                del self._where[key]
        self._where.update(dict.fromkeys(page.reminders, number))
        self.pages[number] = page
        self._empty.discard(number)
        self._roomy.discard(number)
        if not page.reminders:
            self._empty.add(number)
        elif page.size <= _ROOMY:
            self._roomy.add(number)

    def candidates(self) -> Iterator[int]:
        """Pages that may have room, the better ones first."""
        return chain(islice(self._roomy, _LOOKS), self._empty)


class Draft:
    """Changes that are not written yet. `touched` are the pages as they are to be, `count` their number in all."""

    def __init__(self, pages: Pages, count: int) -> None:
        self._pages = pages
        self.count = count
        self.touched: dict[int, Page] = {}
        self._where: dict[Key, int | None] = {}

    def apply(self, change: Change) -> bool:
        """Return whether there was something to change."""
        number = self._where[change.key] if change.key in self._where else self._pages.page_of(change.key)
        if number is None:
            if change.reminder is None or change.registration:
                return False
        else:
            current = (self.touched.get(number) or self._pages.pages[number]).reminders[change.key]
            if change.only_new or (change.registration and current.registration != change.registration):
                return False
            page = self._touch(number)
            del page.reminders[change.key]
            page.size -= _size(current)
            self._where[change.key] = None
        if change.reminder is not None:
            self._put(change.reminder, number)
        return True

    def _put(self, reminder: Reminder, best: int | None) -> None:
        size = _size(reminder)
        number = self._room(size, best)
        page = self._touch(number)
        page.reminders[reminder.key] = reminder
        page.size += size
        self._where[reminder.key] = number

    def _room(self, size: int, best: int | None) -> int:
        likely = chain(() if best is None else (best,), self.touched, self._pages.candidates())
        for number in likely:
            page = self.touched.get(number) or self._pages.pages[number]
            if page.accepts(size):
                return number
        fresh = range(self.count, self.count + GROWTH)
        self.count += GROWTH
        for number in fresh:
            self.touched[number] = Page({})
        return fresh[0]

    def _touch(self, number: int) -> Page:
        page = self.touched.get(number)
        if page is None:
            before = self._pages.pages[number]
            page = self.touched[number] = Page(dict(before.reminders), before.size)
        return page


def encode_page(page: Page) -> bytes | None:
    """None: the row is not needed."""
    return _encode(PageRecord(list(page.reminders.values()))) if page.reminders else None


def decode_page(value: bytes) -> Page:
    """Raises msgspec.DecodeError."""
    reminders = _page_decoder.decode(value).reminders
    return Page({each.key: each for each in reminders}, sum(map(_size, reminders)))


def encode_directory(count: int) -> bytes:
    return _encode(DirectoryRecord(count))


def decode_directory(value: bytes) -> int:
    """Raises msgspec.DecodeError."""
    return _directory_decoder.decode(value).pages


def _size(reminder: Reminder) -> int:
    """An estimate, the same whenever the texts are."""
    texts = (reminder.type, reminder.id, reminder.name, reminder.due_time, reminder.period, reminder.ttl)
    return _FRAME + sum(map(len, texts)) + len(bytes(reminder.data))
