"""A TCP port that leads to a guest's socket: what swatd sees of a VM on another host.

The sockets of this host then tell nothing of the stub's own, and bytes may take their time.
"""

import queue
import socket
import threading
import time


class Proxy:
    """with Proxy(guest.gdb_address) as proxy: swatd.once("ps", "--gdb", proxy.address)

    `delay` (seconds) holds back each piece on its way, in each direction; any number may be under
    way at once. `abrupt`: a client that closes takes its connection to the target with it at once,
    as without a proxy; else the target's answers are still waited for.
    """

    def __init__(self, target, delay=0.0, abrupt=False):
        self.target, self.delay, self.abrupt = target, delay, abrupt
        self.clients = 0  # that have come so far
        self.requests = 0  # pieces that came from clients: their writes, where they wait for answers
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for end in [self.listener, *self.sockets]:
            hang_up(end)
            end.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients += 1
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stub = socket.socket(socket.AF_UNIX)
            stub.connect(self.target.removeprefix("unix:"))
            self.sockets += [client, stub]
            self._pump(client, stub, hang_up if self.abrupt else end_writing, self._count)
            self._pump(stub, client, hang_up, lambda: None)

    def _count(self):
        self.requests += 1

    def _pump(self, source, sink, at_end, note):
        """Carries bytes one way; after the last, at_end(sink)."""
        pieces = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(source, pieces, note), daemon=True).start()
        threading.Thread(target=write, args=(sink, pieces, at_end), daemon=True).start()

    def _read(self, source, pieces, note):
        data = b"?"
        while data:
            try:
                data = source.recv(1 << 20)
            except OSError:
                data = b""
            note()
            pieces.put((time.monotonic() + self.delay, data))


def write(sink, pieces, at_end):
    try:
        while True:
            due, data = pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                return at_end(sink)
            sink.sendall(data)
    except OSError:
        hang_up(sink)


def end_writing(end):
    end.shutdown(socket.SHUT_WR)


def hang_up(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
