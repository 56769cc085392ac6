"""A strict WebSocket peer, made of autobahn: each case prints its name and
whether it went as it must."""

import asyncio
import json
import sys

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol

URL = sys.argv[1]


class Peer(WebSocketClientProtocol):
    def __init__(self):
        super().__init__()
        loop = asyncio.get_event_loop()
        self.opened, self.ended = loop.create_future(), loop.create_future()
        self.inbox, self.pongs = asyncio.Queue(), asyncio.Queue()

    def onOpen(self):
        self.opened.set_result(None)

    def onMessage(self, payload, isBinary):
        assert not isBinary
        self.inbox.put_nowait(json.loads(payload.decode("utf8")))

    def onPong(self, payload):
        self.pongs.put_nowait(payload)

    def onClose(self, wasClean, code, reason):
        if not self.ended.done():
            self.ended.set_result((wasClean, code))
        if not self.opened.done():
            self.opened.set_exception(Exception("not opened: %s" % reason))

    def say(self, **command):
        self.sendMessage(json.dumps(command, ensure_ascii=False).encode("utf8"))


async def dial(query="", protocols=("keywatch.v1.json",), **options):
    factory = WebSocketClientFactory(URL + query, protocols=list(protocols))
    factory.protocol = Peer
    factory.setProtocolOptions(failByDrop=False, closeHandshakeTimeout=5, serverConnectionDropTimeout=5, **options)
    host, port = URL.split("/")[2].split(":")
    _, peer = await asyncio.get_event_loop().create_connection(factory, host, int(port))
    await peer.opened
    return peer


def equal(got, want):
    if got != want:
        raise AssertionError("got %.300r, want %.300r" % (got, want))


async def ops():
    p = await dial("?prefix=py/")
    equal((await p.inbox.get())["type"], "reset")
    equal((await p.inbox.get())["type"], "synced")
    p.say(id=1, op="put", key="py/1", value="\U0001f600 \u2028")
    got = [await p.inbox.get(), await p.inbox.get()]
    equal(sorted(x.get("value", "") for x in got), ["", "\U0001f600 \u2028"])
    p.say(id=2, op="cas", key="py/1", expected="\U0001f600 \u2028", new=None)
    got = [await p.inbox.get(), await p.inbox.get()]
    equal([x["deleted"] for x in got if "id" in x], [True])
    p.sendClose(1000, "done")
    equal(await p.ended, (True, 1000))


async def fragments():
    for size in (1, 2, 7, 64, 1000):
        p = await dial(autoFragmentSize=size)
        value = "κόσμε" * 100
        p.say(id=1, op="put", key="py/f", value=value)
        equal((await p.inbox.get())["ok"], True)
        p.say(id=2, op="get", key="py/f")
        equal((await p.inbox.get())["value"], value)
        p.sendClose(3000)
        equal(await p.ended, (True, 3000))


async def chopped():
    p = await dial()
    text = json.dumps({"id": 1, "op": "put", "key": "py/c", "value": "κόσμε"}, ensure_ascii=False).encode("utf8")
    p.sendFrame(opcode=1, payload=text, chopsize=1, sync=True)
    equal((await p.inbox.get())["ok"], True)
    p.sendClose()
    equal((await p.ended)[0], True)


async def pings():
    p = await dial()
    for payload in (b"a", b"x" * 125):
        p.sendPing(payload)
        equal(await p.pongs.get(), payload)
    p.sendFrame(opcode=1, fin=False, payload=b'{"id":1,')
    p.sendPing(b"between")
    equal(await p.pongs.get(), b"between")
    p.sendFrame(opcode=0, fin=True, payload=b'"op":"ping"}')
    equal((await p.inbox.get())["ok"], True)
    p.sendClose()
    equal((await p.ended)[0], True)


async def sizes():
    p = await dial()
    for n, size in enumerate((0, 125, 126, 65535, 65536, 1000000)):
        p.say(id=2 * n + 1, op="put", key="py/s", value="x" * size)
        equal((await p.inbox.get())["ok"], True)
        p.say(id=2 * n + 2, op="get", key="py/s")
        equal(len((await p.inbox.get())["value"]), size)
    p.sendClose()
    equal((await p.ended)[0], True)


def fails(code, *frames):
    async def case():
        p = await dial()
        for frame in frames:
            p.sendFrame(**frame)
        clean, got = await p.ended
        equal((clean, got), (True, code))
    return case


CASES = [
    ("ops", ops), ("fragments", fragments), ("chopped", chopped), ("pings", pings), ("sizes", sizes),
    ("binary", fails(1003, dict(opcode=2, payload=b"x"))),
    ("reservedBit", fails(1002, dict(opcode=1, payload=b"x", rsv=4))),
    ("opcode", fails(1002, dict(opcode=5, payload=b""))),
    ("strayContinuation", fails(1002, dict(opcode=0, payload=b"x"))),
    ("textInsideMessage", fails(1002, dict(opcode=1, fin=False, payload=b"x"), dict(opcode=1, payload=b"x"))),
    ("fragmentedPing", fails(1002, dict(opcode=9, fin=False, payload=b"x"))),
    ("longPing", fails(1002, dict(opcode=9, payload=b"x" * 126))),
    ("notText", fails(1007, dict(opcode=1, payload=b"\xce\xba\xed\xa0\x80"))),
    ("notTextInFragments", fails(1007, dict(opcode=1, fin=False, payload=b"\xf4"), dict(opcode=0, payload=b"\x90"))),
    ("tooLarge", fails(1009, dict(opcode=1, fin=False, payload=b"x" * (9 << 20)))),
]


async def stops():
    """A server that stops says so on each socket."""
    peers = [await dial("?prefix="), await dial(), await dial("?key=py/stop")]
    peers[1].say(id=1, op="put", key="py/stop", value="last")
    equal((await peers[1].inbox.get())["ok"], True)
    print("ready", flush=True)
    for p in peers:
        equal(await p.ended, (True, 1012))


async def closeCodes():
    for code in (1000, 3000, 4999):
        p = await dial()
        p.sendClose(code, "é" * 61)
        equal(await p.ended, (True, code))


async def main():
    for name, run in [("stops", stops)] if sys.argv[2:] == ["stop"] else CASES + [("closeCodes", closeCodes)]:
        try:
            await asyncio.wait_for(run(), 20)
            print("ok", name, flush=True)
        except Exception as e:  # whatever it was, the case went wrong
            print("FAILED", name, repr(e), flush=True)


asyncio.get_event_loop().run_until_complete(main())
