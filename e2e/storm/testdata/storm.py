# SPDX-License-Identifier: MIT
"""storm MODE FAMILY PORT STOP NAME...: see storm.c. MODE: tcp, udp, sendto, asyncio (datagrams, one endpoint for each)."""
import asyncio
import collections
import os
import socket
import sys
import time


def connected(found):
    with socket.socket(*found[:3]) as s:
        tcp = found[1] == socket.SOCK_STREAM
        s.settimeout(1 if tcp else 0.3)
        s.connect(found[4])
        if not tcp:
            s.send(b"x")
        return "ok" if s.recv(256) else "closed"


def unconnected(found):
    with socket.socket(*found[:3]) as s:
        s.settimeout(0.3)
        s.sendto(b"x", found[4])
        s.recvfrom(256)
    return "ok"


class Endpoint(asyncio.DatagramProtocol):
    def __init__(self):
        self.reply = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, addr):
        if not self.reply.done():
            self.reply.set_result("ok")

    def error_received(self, exc):
        if not self.reply.done():
            self.reply.set_exception(exc)


async def by_asyncio(found):
    loop = asyncio.get_running_loop()
    transport, endpoint = await loop.create_datagram_endpoint(Endpoint, family=found[0])
    try:
        transport.sendto(b"x", found[4])
        return await asyncio.wait_for(endpoint.reply, 0.3)
    finally:
        transport.close()


def visit(loop, mode, family, port, name):
    kind = socket.SOCK_STREAM if mode == "tcp" else socket.SOCK_DGRAM
    try:
        found = socket.getaddrinfo(name, port, family, kind)[0]
    except socket.gaierror:
        return "resolve"
    try:
        if mode == "asyncio":
            return loop.run_until_complete(by_asyncio(found))
        return (unconnected if mode == "sendto" else connected)(found)
    except (TimeoutError, asyncio.TimeoutError):
        return "timeout"
    except OSError as e:
        return e.errno or "timeout"


def main():
    mode, family, port, stop = sys.argv[1:5]
    family = {"4": socket.AF_INET, "6": socket.AF_INET6}[family]
    names = sys.argv[5:]
    counts = collections.Counter()
    loop = asyncio.new_event_loop()
    while not os.path.exists(stop):
        name = names[sum(counts.values()) % len(names)]
        counts[visit(loop, mode, family, int(port), name)] += 1
        time.sleep(0.01)
    for end, n in counts.items():
        print(n, end)


main()
