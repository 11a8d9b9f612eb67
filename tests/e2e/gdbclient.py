"""The least of a gdb remote protocol client, and gdb itself: independent eyes on the stub."""

import signal
import socket
import subprocess
import time

def checksum(payload):
    return sum(payload) % 256


MAX_READ = 0x800  # QEMU answers longer reads with E22


class RspClient:
    """One packet, one reply. No acknowledgements: QEMU takes the next packet for one.

    Connecting stops the guest (QEMU does that); close() lets it run again by detaching, abandon()
    leaves it as it is.
    """

    def __init__(self, path, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path.removeprefix("unix:"))
        self.buffer = b""
        # QEMU up to 8.0 says T02 unasked. A packet has only one reply: find it before the first.
        self.send("qC")
        while not (thread := self.receive()).startswith("QC"):
            pass
        # Once any client has said multiprocess+, as gdb does, `D` needs the process.
        self.detach = "D;1" if thread.startswith("QCp") else "D"

    def send(self, payload):
        data = payload.encode()
        self.socket.sendall(b"$" + data + b"#%02x" % checksum(data))

    def receive(self):
        while True:
            start = self.buffer.find(b"$")
            end = self.buffer.find(b"#", start)
            if start >= 0 and 0 <= end <= len(self.buffer) - 3:
                payload = self.buffer[start + 1:end].decode("latin-1")
                self.buffer = self.buffer[end + 3:]
                return payload
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the stub closed the connection")
            self.buffer += data

    def ask(self, payload):
        self.send(payload)
        return self.receive()

    def read(self, address, length):
        """Bytes at a virtual address, of the current vCPU; None where nothing is mapped."""
        data = b""
        while len(data) < length:
            ask = min(length - len(data), MAX_READ)
            reply = self.ask(f"m{address + len(data):x},{ask:x}")
            if reply.startswith("E"):
                return None
            data += bytes.fromhex(reply)
        return data

    def stop_within(self, seconds):
        """Lets the guest run; the stop reply, or None if it runs on for that long."""
        self.send("c")
        self.socket.settimeout(seconds)
        try:
            return self.receive()
        except TimeoutError:
            self.socket.settimeout(10)
            self.socket.sendall(b"\x03")
            stop = self.receive()
            return None if stop.startswith("T02") else stop

    def close(self):
        if self.ask(self.detach) != "OK":
            raise ConnectionError("the stub does not detach")
        self.abandon()

    def abandon(self):
        self.socket.close()


def start_gdb(address, *commands, stdout=subprocess.PIPE):
    """Debian's gdb, connected to the stub at `address`, doing those commands; it detaches last."""
    script = ["set pagination off", "set confirm off", "set architecture i386:x86-64",
              f"target remote {address.removeprefix('unix:')}", *commands, "detach"]
    options = [word for command in script for word in ("-ex", command)]
    return subprocess.Popen(["gdb", "-nx", "-batch", *options], stdin=subprocess.DEVNULL,
                            stdout=stdout, stderr=subprocess.STDOUT, text=True)


def gdb(address, *commands, timeout=120):
    """gdb's output, without its greeting, which names where the guest happened to be."""
    process = start_gdb(address, "echo BEGIN\\n", *commands, "echo END\\n")
    output, _ = process.communicate(timeout=timeout)
    if process.returncode != 0 or "END\n" not in output:
        raise RuntimeError(f"gdb ended with {process.returncode}: {output}")
    return output.partition("BEGIN\n")[2].partition("END\n")[0]


def gdb_runs_on(address, seconds):
    """True if a guest that gdb lets run is stopped by nothing but gdb for that long."""
    process = start_gdb(address, "echo BEGIN\\n", "continue", "echo STOPPED\\n")
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    stop = output.partition("BEGIN\n")[2].partition("STOPPED\n")[0]
    return "SIGINT" in stop and "SIGTRAP" not in stop and "point" not in stop
