"""Lists, gone through page by page as they are read."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from rialto._call import Call, ListCall
from rialto.models import ApiObject

T = TypeVar("T")


class Page(ApiObject, Generic[T]):
    """A part of a list; the next begins after `next_cursor`."""

    data: list[T]
    has_more: bool
    next_cursor: str | None = None


def page_call(wanted: ListCall[T], cursor: str | None) -> Call[Page[T]]:
    """Return the call for the page after a cursor."""

    def read(answer: Any) -> Page[T]:
        items = [wanted.read_item(item) for item in answer["data"]]
        return Page[T].model_construct(data=items, has_more=answer["has_more"], next_cursor=answer.get("next_cursor"))

    query = wanted.query
    if cursor is not None:
        kept = [(name, value) for name, value in query if name not in wanted.first_only and name != "cursor"]
        query = (*kept, ("cursor", cursor))
    return Call("GET", wanted.path, read, query=query)


def cursor_after(page: Page[Any]) -> str | None:
    """Return where to go on, None at the end."""
    return page.next_cursor if page.has_more else None


class Listing(Generic[T]):
    """A list: iterate over its items, over its `pages()`, or take the `first_page()`. Each use asks anew."""

    def __init__(self, run: Callable[[Call[Page[T]]], Page[T]], wanted: ListCall[T]) -> None:
        self._run = run
        self._wanted = wanted

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.data

    def pages(self) -> Iterator[Page[T]]:
        """Go through the pages."""
        page = self.first_page()
        yield page
        while (cursor := cursor_after(page)) is not None:
            page = self._run(page_call(self._wanted, cursor))
            yield page

    def first_page(self) -> Page[T]:
        """Return the first page, or with `cursor` the one after it."""
        return self._run(page_call(self._wanted, None))


class AsyncListing(Generic[T]):
    """A list: `async for` over its items or its `pages()`, or await the `first_page()`. Each use asks anew."""

    def __init__(self, run: Callable[[Call[Page[T]]], Coroutine[Any, Any, Page[T]]], wanted: ListCall[T]) -> None:
        self._run = run
        self._wanted = wanted

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.data:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Go through the pages."""
        page = await self.first_page()
        yield page
        while (cursor := cursor_after(page)) is not None:
            page = await self._run(page_call(self._wanted, cursor))
            yield page

    async def first_page(self) -> Page[T]:
        """Return the first page, or with `cursor` the one after it."""
        return await self._run(page_call(self._wanted, None))
