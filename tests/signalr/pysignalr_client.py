"""PyPI's pysignalr against our server: both protocols. BOOKWORM_TESTHUB names the server."""

import asyncio
import os
import urllib.request

from pysignalr.client import SignalRClient
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol

BASE = os.environ["BOOKWORM_TESTHUB"]


class Client:
    """A client whose answers can be awaited."""

    def __init__(self, path, protocol, **options):
        self.client = SignalRClient(BASE + path, protocol=protocol, **options)
        self.opened = asyncio.Event()
        self.errors = asyncio.Queue()
        self.client.on_open(self._open)
        self.client.on_error(self.errors.put)

    async def _open(self):
        self.opened.set()

    async def __aenter__(self):
        self.task = asyncio.create_task(self.client.run())
        await self.opened.wait()
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def invoke(self, method, *arguments):
        answer = asyncio.get_running_loop().create_future()

        async def answered(message):
            answer.set_result(message)

        await self.client.send(method, list(arguments), answered)
        return (await answer).result

    async def stream(self, method, *arguments):
        items, done = [], asyncio.Event()

        async def item(value):
            items.append(value)

        async def complete(_):
            done.set()

        await self.client.stream(method, list(arguments), item, complete)
        await done.wait()
        return items

    def hear(self, event):
        heard = asyncio.Queue()

        async def put(arguments):
            await heard.put(arguments)

        self.client.on(event, put)
        return heard


def fetch(path):
    with urllib.request.urlopen(BASE + path) as response:
        return response.read().decode()


async def check(protocol):
    async with Client("/testhub", protocol()) as client:
        assert await client.invoke("Echo", "héllo") == "héllo"
        assert await client.invoke("GetActiveTransportName") == "WebSockets"
        answers = await asyncio.gather(*(client.invoke("Echo", str(n)) for n in range(50)))
        assert answers == [str(n) for n in range(50)], answers

        heard = client.hear("Message")
        await client.client.send("InvokeWithString", ["hello"])
        assert await heard.get() == ["hello"]

        assert await client.stream("Stream") == ["a", "b", "c"]
        async with client.client.client_stream("StreamingConcat") as upload:
            for part in ("a", "b"):
                await upload.send(part)

        async def ten(_):
            return 10

        client.client.on("Result", ten)
        connection_id = await client.invoke("GetCallerConnectionId")
        assert await asyncio.to_thread(fetch, f"/clientresult/{connection_id}") == "10"

        await client.client.send("ThrowException", ["no"], client.errors.put)
        error = (await client.errors.get()).error
        assert error.endswith("InvalidOperationException: no"), error
        assert await client.invoke("Echo", "still there") == "still there"

    token = await asyncio.to_thread(fetch, "/generateJwtToken")
    async with Client("/authorizedhub", protocol(), headers={"Authorization": f"Bearer {token}"}) as client:
        assert await client.invoke("Echo", "let in") == "let in"


async def main():
    for protocol in (JSONProtocol, MessagepackProtocol):
        await asyncio.wait_for(check(protocol), 30)
        print(f"ok - pysignalr with {protocol.__name__}")


asyncio.run(main())
