"""IMAPClient against a running server. Ends with "all good" or an exception."""

from datetime import date, datetime, timezone

from imapclient import IMAPClient

from common import ALICE, BOB, HOST, PASSWORD, PORTS, TLS, deliver, equal, message

for number, subject in enumerate(("plan", "Re: plan", "other"), 1):
    deliver(message(subject, reply_to="plan1" if subject.startswith("Re") else None, date=number))

with IMAPClient(HOST, PORTS["imap"], ssl=False, timeout=20) as client:
    client.starttls(TLS)
    client.plain_login(ALICE, PASSWORD)
    client.id_({"name": "test"})
    equal(client.enable("CONDSTORE"), [b"CONDSTORE"])
    assert client.has_capability("UIDPLUS") and client.has_capability("MOVE"), client.capabilities()

    # Names.
    personal = client.namespace().personal
    equal(personal, (("", "/"),))
    equal(client.find_special_folder(b"\\Sent"), "Sent")
    for name in ("Projekte/K\u00f6ln & mehr", "Gone"):
        client.create_folder(name)
    client.rename_folder("Gone", "Moved")
    client.subscribe_folder("Moved")
    names = {name for _, _, name in client.list_folders()}
    assert {"INBOX", "Projekte/K\u00f6ln & mehr", "Moved", "Trash"} <= names and "Gone" not in names, names
    assert "Moved" in {name for _, _, name in client.list_sub_folders()}
    client.unsubscribe_folder("Moved")
    client.delete_folder("Moved")
    assert not client.folder_exists("Moved")
    equal(client.folder_status("INBOX", ["MESSAGES", "UNSEEN", "UIDNEXT"]), {b"MESSAGES": 3, b"UNSEEN": 3, b"UIDNEXT": 4})

    # Look.
    selected = client.select_folder("INBOX")
    equal((selected[b"EXISTS"], selected[b"UIDNEXT"]), (3, 4))
    highest = selected[b"HIGHESTMODSEQ"]
    fetched = client.fetch(client.search(), ["FLAGS", "RFC822.SIZE", "INTERNALDATE", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]"])
    for uid, item in fetched.items():
        equal(item[b"RFC822.SIZE"], len(item[b"BODY[]"]), uid)
        equal(item[b"ENVELOPE"].from_[0].host, b"elsewhere.test")
        equal(item[b"BODYSTRUCTURE"][:2], (b"text", b"plain"))
    equal(fetched[2][b"ENVELOPE"].in_reply_to, b"<plan1@elsewhere.test>")
    equal(fetched[1][b"ENVELOPE"].date, datetime(2026, 1, 1, 10))

    # Search: octets on the wire in two charsets.
    equal(client.search(["SUBJECT", "plan"]), [1, 2])
    equal(client.search(["BODY", "K\u00d6LN"], charset="UTF-8"), [1, 2, 3])
    equal(client.search(["BODY", "k\u00f6ln"], charset="ISO-8859-1"), [1, 2, 3])
    equal(client.search(["SENTSINCE", date(2026, 1, 2), "NOT", ["SUBJECT", "other"]]), [2])

    # Flags. Whether \Recent is among them depends on the revision that is spoken.
    def flags(uid):
        return set(client.get_flags([uid])[uid]) - {b"\\Recent"}

    client.add_flags([1, 3], [b"\\Flagged", b"work"])
    equal(flags(1), {b"\\Flagged", b"work"})
    client.remove_flags([3], [b"work"], silent=True)
    equal(client.search(["KEYWORD", "work"]), [1])
    changed = client.fetch([1, 2, 3], ["FLAGS"], [f"CHANGEDSINCE {highest}"])
    equal(sorted(changed), [1, 3])
    equal(client.search(["MODSEQ", str(highest + 1)]), [1, 3])

    # Append, copy, move, expunge.
    when = datetime(2020, 2, 29, 23, 59, 58, tzinfo=timezone.utc)
    assert b"APPENDUID" in client.append("Drafts", message("draft"), [b"\\Draft"], when)
    client.copy([1, 2], "Projekte/K\u00f6ln & mehr")
    client.move([3], "Trash")
    equal(client.search(), [1, 2])
    client.delete_messages([1, 2], silent=True)
    client.uid_expunge([2])
    equal(client.search(), [1])
    client.expunge()
    equal(client.search(), [])
    client.select_folder("Drafts", readonly=True)
    equal(client.fetch(1, ["INTERNALDATE", "FLAGS"])[1][b"INTERNALDATE"].timestamp(), when.timestamp())
    client.unselect_folder()
    client.select_folder("Projekte/K\u00f6ln & mehr")
    equal((flags(1), flags(2)), ({b"\\Flagged", b"work"}, set()))

    # IDLE sees a delivery.
    client.select_folder("INBOX")
    client.idle()
    deliver(message("while idle"))
    equal(client.idle_check(timeout=20)[0], (1, b"EXISTS"))
    client.idle_done()
    equal(client.search(["SUBJECT", "while idle"]), [4])

    client.multiappend("Archive", [message("one"), {"msg": message("two"), "flags": [b"\\Seen"]}])
    equal(client.folder_status("Archive", ["MESSAGES", "UNSEEN"]), {b"MESSAGES": 2, b"UNSEEN": 1})
    client.select_folder("Projekte/K\u00f6ln & mehr")
    client.append("Projekte/K\u00f6ln & mehr", message("apple", date=9))
    equal(client.sort(["REVERSE DATE"]), [3, 2, 1])
    equal(client.sort("SUBJECT"), [3, 1, 2])
    equal(client.thread("REFERENCES"), ((1, 2), (3,)))
    equal(client.thread("ORDEREDSUBJECT"), ((1, 2), (3,)))
    root, quotas = client.get_quota_root("INBOX")
    equal(root.mailbox, "INBOX")
    assert all(quota.usage >= 0 for quota in quotas), quotas
    client.setacl("Archive", BOB, "lrs")
    equal(dict(client.getacl("Archive"))[BOB.encode()], b"lrs")
    # The library does not quote this argument.
    client.setacl("Archive", BOB, '""')
    equal(dict(client.getacl("Archive")).get(BOB.encode(), b""), b"")
    client.logout()
print("all good")
