"""Bad networks on loopback: a TCP proxy that listens in, alters and cuts; a message proxy that loses and repeats."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable

import zmq


class TcpProxy:
    """Passes bytes between clients of `port` and the daemon, in a thread."""

    def __init__(
        self,
        target: int,
        *,
        port: int = 0,
        alter: Callable[[bytes], bytes] = lambda data: data,
        delay_s: float = 0.0,
        cut_probability: float = 0.0,
        stall_probability: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._target, self._alter, self._delay_s = target, alter, delay_s
        self._cut, self._stall, self._random = cut_probability, stall_probability, random.Random(seed)
        self.captured = bytearray()
        self.n_connections = self.n_cut = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self._thread.start()
        assert self._started.wait(20.0)

    def _run(self, port: int) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", port))
        self.port = self._server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._server.close()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # asyncio itself keeps no strong reference
        task.add_done_callback(self._tasks.discard)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        stalled = self._random.random() < self._stall
        try:
            await asyncio.gather(self._pass(reader, back, stalled), self._pass(there, writer, stalled))
        except (OSError, asyncio.CancelledError, ConnectionResetError):
            pass
        finally:
            for stream in (writer, back):
                with contextlib.suppress(OSError, RuntimeError):
                    stream.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stalled: bool) -> None:
        n_bytes = 0
        while data := await reader.read(65536):
            self.captured += data[: max(0, 1_000_000 - len(self.captured))]
            if self._random.random() < self._cut:
                self.n_cut += 1
                raise ConnectionResetError
            n_bytes += len(data)
            if stalled and n_bytes > 20_000:
                await asyncio.sleep(3600)  # half-open: nothing comes through, nobody is told
            if self._delay_s:
                await asyncio.sleep(self._random.random() * self._delay_s)
            writer.write(self._alter(data))
            await writer.drain()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)


class MessageProxy:
    """Passes whole messages between DEALER clients and the daemon; loses, repeats and reorders some both ways."""

    def __init__(
        self, target: str, *, loss: float = 0.0, repeat: float = 0.0, reorder: float = 0.0, seed: int = 0
    ) -> None:
        self._random = random.Random(seed)
        self._loss, self._repeat, self._reorder = loss, repeat, reorder
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._front = self._context.socket(zmq.ROUTER)
        self.port = self._front.bind_to_random_port("tcp://127.0.0.1")
        self._target = target
        self._backs: dict[bytes, zmq.Socket[bytes]] = {}
        self._stop = threading.Event()
        self.n_lost = self.n_repeated = self.n_reordered = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _mangle(self, held: list[list[bytes]], message: list[bytes]) -> list[list[bytes]]:
        chance = self._random.random()
        if chance < self._loss:
            self.n_lost += 1
            return []
        if chance < self._loss + self._repeat:
            self.n_repeated += 1
            return [message, message]
        if chance < self._loss + self._repeat + self._reorder and not held:
            self.n_reordered += 1
            held.append(message)
            return []
        out = [message, *held]
        held.clear()
        return out

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._front, zmq.POLLIN)
        held_out: dict[bytes, list[list[bytes]]] = {}
        held_in: dict[bytes, list[list[bytes]]] = {}
        while not self._stop.is_set():
            for socket, _ in poller.poll(50):
                message = socket.recv_multipart()
                if socket is self._front:
                    peer, frames = message[0], message[1:]
                    if peer not in self._backs:
                        back = self._backs[peer] = self._context.socket(zmq.DEALER)
                        back.connect(self._target)
                        poller.register(back, zmq.POLLIN)
                    for out in self._mangle(held_out.setdefault(peer, []), frames):
                        self._backs[peer].send_multipart(out)
                else:
                    peer = next(name for name, back in self._backs.items() if back is socket)
                    for out in self._mangle(held_in.setdefault(peer, []), message):
                        self._front.send_multipart([peer, *out])
        self._context.destroy(linger=0)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5.0)
