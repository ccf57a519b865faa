"""Talks to a WebSocket service that returns every message: texts, large and many messages, pings, a close."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def main(url):
    async with connect(url, max_size=2**24) as connection:
        for message in ("hello", "", "\N{EURO SIGN}" * 1000, b"\x00\xff", b"x" * 2**22):
            await connection.send(message)
            assert await connection.recv() == message
        for number in range(500):
            await connection.send(str(number))
        for number in range(500):
            assert await connection.recv() == str(number)
        await asyncio.wait_for(await connection.ping(), 5)
    assert connection.close_code == 1000
    async with asyncio.timeout(20):
        many = [connect(url) for _ in range(50)]
        for connection in [await one for one in many]:
            await connection.send("x")
            assert await connection.recv() == "x"
            await connection.close()
    print("fine")


asyncio.run(main(sys.argv[1]))
