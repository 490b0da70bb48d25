"""Whoever waits has a turn while many answers come together, and no answer is lost or given to another for it."""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from importer import event_loop
from importer.event_loop import AT_ONCE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the usual loop there")

MANY = 5 * AT_ONCE

Pair = tuple[socket.socket, socket.socket]


@contextmanager
def answered(count: int) -> Iterator[list[Pair]]:
    """Connections to each of which something has come."""
    with ExitStack() as held:
        pairs = [socket.socketpair() for _ in range(count)]
        for mine, other in pairs:
            held.enter_context(mine).setblocking(False)
            held.enter_context(other).sendall(b"x")
        yield pairs


async def passes(count: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_who_waits_has_a_turn_before_all_that_came_together_is_dealt_with() -> None:
    seen: list[str] = []

    async def main(pairs: list[Pair]) -> None:
        loop = asyncio.get_running_loop()

        def read(mine: socket.socket) -> None:
            mine.recv(1)
            seen.append("answer")
            if len(seen) == 1:
                loop.call_soon(seen.append, "who waited")

        for mine, _ in pairs:
            loop.add_reader(mine, read, mine)
        await passes(20)

    with answered(MANY) as pairs:
        event_loop.run(main(pairs))

    assert seen.count("answer") == MANY
    assert seen.index("who waited") <= AT_ONCE


def test_what_comes_meanwhile_has_its_turn_after_what_was_there() -> None:
    """One connection that always has something to say keeps no other waiting."""
    seen: list[int] = []

    async def main(pairs: list[Pair]) -> None:
        loop = asyncio.get_running_loop()

        def read(number: int, mine: socket.socket, other: socket.socket) -> None:
            mine.recv(1)
            seen.append(number)
            other.send(b"x")  # the answer to the next request is there at once

        for number, (mine, other) in enumerate(pairs):
            loop.add_reader(mine, read, number, mine, other)
        await passes(20)

    with answered(MANY) as pairs:
        event_loop.run(main(pairs))

    counts = [seen.count(number) for number in range(MANY)]
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= 2


def given_up(pair: Pair, others: list[Pair]) -> Pair:
    """The connection is closed, and the next one gets its number: the system gives the lowest that is free."""
    number = pair[0].fileno()
    pair[0].close()
    while True:
        others.append(socket.socketpair())
        for mine, other in (others[-1], others[-1][::-1]):
            if mine.fileno() == number:
                return mine, other


def read_elsewhere(pair: Pair, others: list[Pair]) -> Pair:
    pair[0].recv(1)
    return pair


@pytest.mark.parametrize("end", [given_up, read_elsewhere])
def test_what_is_over_before_its_turn_is_not_reported_to_who_comes_after(
    end: Callable[[Pair, list[Pair]], Pair],
) -> None:
    told: list[str] = []
    others: list[Pair] = []

    async def main(pairs: list[Pair]) -> None:
        loop = asyncio.get_running_loop()
        number = pairs[-1][0].fileno()

        def first(mine: socket.socket) -> None:
            mine.recv(1)
            loop.remove_reader(number)
            later.append(end(pairs[-1], others))
            loop.add_reader(number, tell)

        def tell() -> None:
            told.append("came")
            later[0][0].recv(1)

        later: list[Pair] = []
        loop.add_reader(pairs[0][0], first, pairs[0][0])
        for mine, _ in pairs[1:-1]:
            loop.add_reader(mine, mine.recv, 1)
        loop.add_reader(number, told.append, "to whom nobody listens any more")
        await passes(20)
        assert told == []
        later[0][1].send(b"x")
        await passes(20)
        assert told == ["came"]
        loop.remove_reader(number)

    with answered(MANY) as pairs, ExitStack() as held:
        held.callback(lambda: [one.close() for pair in others for one in pair])
        event_loop.run(main(pairs))


def test_what_is_raised_comes_out_and_nothing_is_left_running() -> None:
    ended: list[str] = []

    async def beside() -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            ended.append("beside")

    async def main() -> None:
        task = asyncio.create_task(beside())
        await asyncio.sleep(0)
        assert not task.done()
        raise LookupError

    with pytest.raises(LookupError):
        event_loop.run(main())

    assert ended == ["beside"]
