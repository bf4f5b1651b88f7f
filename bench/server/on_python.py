"""on_python.py: the server of bench/server.lua on Python's ssl module: python3 on_python.py
certificate.pem key.pem

It prints "port pid". asyncio with a Protocol object a connection, which is the least that a program
can do with what Python brings along. It does what bench/server/plain.c does.
"""
import asyncio
import os
import ssl
import sys

HEAD = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: "
SMALL = HEAD + b"3\r\n\r\nok\n"
BIG = HEAD + b"1048576\r\n\r\n"
BLOCK = b"b" * 16384
BLOCKS = 64


class Connection(asyncio.Protocol):
    """One client's requests, one after the other."""

    __slots__ = ("transport", "came", "left")

    def connection_made(self, transport):
        self.transport, self.came, self.left = transport, b"", 0

    def data_received(self, data):
        self.came += data
        while b"\r\n\r\n" in self.came:
            head, self.came = self.came.split(b"\r\n\r\n", 1)
            self.answer(head)

    def answer(self, head):
        if head.startswith(b"GET / "):
            self.transport.write(SMALL)
        elif head.startswith(b"GET /big "):
            self.transport.write(BIG)
            self.left += BLOCKS
            self.resume_writing()
        else:
            self.transport.close()
            return
        if b"\r\nconnection: close" in head.lower():
            self.transport.close()

    def pause_writing(self):
        self.left = -self.left

    def resume_writing(self):
        """Goes on until the transport, whose buffer is full, calls pause_writing."""
        self.left = abs(self.left)
        while self.left > 0:
            self.left -= 1
            self.transport.write(BLOCK)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], os.getpid(), flush=True)
    await server.serve_forever()


asyncio.run(main())
