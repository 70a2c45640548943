"""A TCP proxy in front of a database server, which can freeze, cut and delay what passes."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")

LOCK_WORDS = {"postgresql": b"pg_try_advisory_xact_lock(", "mariadb": b"wait_timeout"}
"""What the session of a run's lock says, and no other: those of steps ask MariaDB for a lock of their own."""

LAST_WORDS = {"postgresql": b'"name", "id", "applied"', "mariadb": b"`name`, `id`, `applied`"}
"""What the lock's session asks at the end of a run, and no step."""

WAIT_SECONDS = 30
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close sends RST, as the host does that a balancer gave up


class _Connection:
    """A client's connection, and the one to the server that it is passed on to."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sockets = (client, server)
        self.said = bytearray()  # everything the client has sent
        self.passing = asyncio.Event()
        self.passing.set()


class Proxy:
    """What passes between clients and one server; every method may be called from any thread.

    `saying`: only the connections whose client has sent these bytes so far; "" means all of them.
    """

    def __init__(self, entry: Mapping[str, Any], loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        """Take the DATABASES entry of the server (PostgreSQL: HOST may be the folder of its UNIX socket)."""
        self.entry: dict[str, Any] = {**entry, "HOST": "127.0.0.1", "PORT": str(listener.getsockname()[1])}
        self._address: str | tuple[str, int] = (entry["HOST"], int(entry["PORT"]))
        if entry["HOST"].startswith("/"):
            self._address = f"{entry['HOST']}/.s.PGSQL.{entry['PORT']}"
        self._loop, self._listener = loop, listener
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._heard = asyncio.Condition()
        self._seconds = 0.0
        self._stop_words: bytes | None = None
        self._is_frozen = False
        self._accepting: asyncio.Task[None] | None = None

    def freeze(self, saying: bytes = b"") -> None:
        """Let nothing pass from now on, not even the end of a connection; without words new ones are frozen too."""

        async def freeze() -> None:
            self._is_frozen = self._is_frozen or not saying
            for connection in self._saying(saying).values():
                connection.passing.clear()

        self._run(freeze())

    def freeze_at(self, words: bytes) -> None:
        """Freeze each connection, from now on, as soon as its client sends these words; they do not pass."""

        async def freeze_at() -> None:
            self._stop_words = words

        self._run(freeze_at())

    def thaw(self) -> None:
        """Let everything pass again."""

        async def thaw() -> None:
            self._is_frozen, self._stop_words = False, None
            for connection in self._connections.values():
                connection.passing.set()

        self._run(thaw())

    def delay(self, seconds: float) -> None:
        """Pass everything on so much later, in each direction."""

        async def delay() -> None:
            self._seconds = seconds

        self._run(delay())

    def cut(self, saying: bytes = b"") -> int:
        """Reset connections on both sides; return how many."""

        async def cut() -> int:
            chosen = self._saying(saying)
            for task in chosen:
                task.cancel()
            await asyncio.gather(*chosen, return_exceptions=True)
            return len(chosen)

        return self._run(cut())

    def wait_for(self, words: bytes) -> None:
        """Wait until the client of an open connection has sent these words, also where they are not passed on.

        Raises:
            TimeoutError: none has, in WAIT_SECONDS.
        """
        self._wait(lambda: bool(self._saying(words)), f"no client said {words!r}")

    def wait_for_connections(self, count: int) -> None:
        """Wait until at least so many connections are open.

        Raises:
            TimeoutError: there are fewer after WAIT_SECONDS.
        """
        self._wait(lambda: len(self._connections) >= count, f"there were fewer than {count} connections")

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        async def wait() -> None:
            async with self._heard:
                await self._heard.wait_for(condition)

        try:
            self._run(wait())
        except TimeoutError:
            raise TimeoutError(otherwise) from None

    def _saying(self, words: bytes) -> dict[asyncio.Task[None], _Connection]:
        return {task: connection for task, connection in self._connections.items() if words in connection.said}

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        bounded = asyncio.wait_for(coroutine, WAIT_SECONDS)
        try:
            return asyncio.run_coroutine_threadsafe(bounded, self._loop).result()
        except asyncio.TimeoutError:  # not TimeoutError before Python 3.11
            raise TimeoutError from None

    def listen(self) -> None:
        """Accept connections from now on."""

        async def listen() -> None:
            self._listener.listen()
            self._accepting = asyncio.create_task(self._accept())

        self._run(listen())

    async def end(self) -> None:
        """Reset every connection and accept no more; all sockets are closed after it."""
        tasks = [task for task in (self._accepting, *self._connections) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            server = socket.socket(socket.AF_UNIX if isinstance(self._address, str) else socket.AF_INET)
            for end in (client, server):
                end.setblocking(False)
            connection = _Connection(client, server)
            if self._is_frozen:
                connection.passing.clear()
            task = asyncio.create_task(self._serve(connection))
            self._connections[task] = connection
            await self._tell()

    async def _serve(self, connection: _Connection) -> None:
        client, server = connection.sockets
        pumps: list[asyncio.Task[None]] = []
        try:
            await connection.passing.wait()
            await self._loop.sock_connect(server, self._address)
            pumps = [
                asyncio.create_task(self._pump(connection, client, server)),
                asyncio.create_task(self._pump(connection, server, client)),
            ]
            await asyncio.gather(*pumps)
        except asyncio.CancelledError:
            for end in connection.sockets:
                if end.family != socket.AF_UNIX:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass  # one side has reset its connection: so does the other
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in connection.sockets:
                end.close()
            self._connections = {task: one for task, one in self._connections.items() if one is not connection}
            with suppress(asyncio.CancelledError):
                await self._tell()

    async def _pump(self, connection: _Connection, source: socket.socket, target: socket.socket) -> None:
        while True:
            chunk = await self._loop.sock_recv(source, 65536)
            if source is connection.sockets[0]:
                connection.said += chunk
                if self._stop_words is not None and self._stop_words in chunk:
                    connection.passing.clear()
                await self._tell()
            if self._seconds:
                await asyncio.sleep(self._seconds)
            await connection.passing.wait()
            if not chunk:
                target.shutdown(socket.SHUT_WR)
                return
            await self._loop.sock_sendall(target, chunk)

    async def _tell(self) -> None:
        async with self._heard:
            self._heard.notify_all()


@contextmanager
def proxy(entry: Mapping[str, Any], *, listens: bool = True) -> Iterator[Proxy]:
    """Give a proxy in front of the server of a DATABASES entry; `Proxy.entry` reaches it, once it listens."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        thread.start()
        made = Proxy(entry, loop, listener)
        try:
            if listens:
                made.listen()
            yield made
        finally:
            asyncio.run_coroutine_threadsafe(made.end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
