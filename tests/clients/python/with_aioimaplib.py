"""aioimaplib against a running server: two connections, one idles. Ends with "all good" or an exception."""

import asyncio

from aioimaplib import IMAP4_SSL

from common import ALICE, HOST, PASSWORD, PORTS, TLS, deliver, equal, message


async def connect():
    client = IMAP4_SSL(HOST, PORTS["imaps"], timeout=20, ssl_context=TLS)
    await client.wait_hello_from_server()
    equal((await client.login(ALICE, PASSWORD)).result, "OK")
    return client


async def good(answer):
    """The lines of an answer that must be OK."""
    answer = await answer
    equal(answer.result, "OK", answer.lines)
    return answer.lines


async def main():
    deliver(message("first"))
    idler, worker = await connect(), await connect()
    await good(idler.id(name="test"))
    assert b"(" in (await good(idler.namespace()))[0]
    assert any(b"\\Sent" in line for line in await good(idler.list('""', "*")))
    for client in (idler, worker):
        assert b"1 EXISTS" in await good(client.select("INBOX"))

    idle = await idler.idle_start(timeout=60)
    await asyncio.to_thread(deliver, message("second"))
    assert b"2 EXISTS" in await idler.wait_server_push(20)
    # What another session does is pushed as well.
    await good(worker.noop())
    await good(worker.store("1", "+FLAGS", r"(\Flagged work)"))
    pushed = []
    while not any(b"1 FETCH" in line for line in pushed):
        pushed += await idler.wait_server_push(20)
    assert any(b"\\Flagged" in line for line in pushed), pushed
    await good(worker.uid("STORE", "1", "+FLAGS.SILENT", r"(\Deleted)"))
    await good(worker.uid("EXPUNGE", "1"))
    while not any(b"1 EXPUNGE" in line for line in pushed):
        pushed += await idler.wait_server_push(20)
    idler.idle_done()
    equal((await asyncio.wait_for(idle, 20)).result, "OK")

    equal((await good(idler.uid_search("ALL")))[0], b"2")
    lines = await good(idler.uid("FETCH", "2", "(RFC822.SIZE BODY.PEEK[])"))
    literal = max(lines, key=len)
    assert f"RFC822.SIZE {len(literal)} ".encode() in lines[0] and b"Subject: second" in literal, lines
    await good(idler.create("Projects"))
    await good(idler.append(message("appended"), "Projects", r"(\Seen)"))
    await good(idler.move("1", "Projects"))
    assert any(b"MESSAGES 2" in line for line in await good(idler.status("Projects", "(MESSAGES)")))
    await good(idler.select("Projects"))
    equal((await good(idler.search("SUBJECT", "second")))[0], b"2")
    for client in (idler, worker):
        await client.logout()


asyncio.run(main())
print("all good")
