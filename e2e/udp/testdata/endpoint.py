# endpoint.py asyncio|blocking NAME PORT: one datagram by an unconnected socket, and its answer, which is printed.
import asyncio
import socket
import sys


class Endpoint(asyncio.DatagramProtocol):
    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, addr):
        self.answer.set_result(data)

    def error_received(self, exc):
        self.answer.set_exception(exc)


async def by_asyncio(name, port):
    loop = asyncio.get_running_loop()
    to = (await loop.getaddrinfo(name, port, type=socket.SOCK_DGRAM))[0]
    local = ("0.0.0.0", 0) if to[0] == socket.AF_INET else ("::", 0)
    transport, endpoint = await loop.create_datagram_endpoint(Endpoint, local_addr=local)
    transport.sendto(b"hello", to[4])
    return await asyncio.wait_for(endpoint.answer, 1)


def blocking(name, port):
    to = socket.getaddrinfo(name, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(to[0], socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.sendto(b"hello", to[4])
        return s.recv(100)


how, name, port = sys.argv[1:]
answer = asyncio.run(by_asyncio(name, int(port))) if how == "asyncio" else blocking(name, int(port))
print(answer.decode())
