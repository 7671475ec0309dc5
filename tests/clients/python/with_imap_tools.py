"""imap-tools against a running server. Ends with "all good" or an exception."""

import datetime
import threading

from imap_tools import A, MailBox, MailBoxStartTls, MailMessageFlags

from common import ALICE, HOST, PASSWORD, PORTS, TLS, deliver, equal, message

for number, subject in enumerate(("first", "second", "third"), 1):
    deliver(message(subject, date=number))

with MailBox(HOST, PORTS["imaps"], timeout=20, ssl_context=TLS).login(ALICE, PASSWORD) as box:
    mails = list(box.fetch(mark_seen=False, bulk=True))
    equal([mail.subject for mail in mails], ["first", "second", "third"])
    for mail in mails:
        equal(mail.text, "A line.\r\nGr\u00fc\u00dfe aus K\u00f6ln\r\n")
        # RFC822.SIZE beside what came.
        equal(mail.size_rfc822, len(mail.obj.as_bytes().replace(b"\n", b"\r\n")))
        assert MailMessageFlags.SEEN not in mail.flags
    equal([mail.subject for mail in box.fetch(A(subject="second"), headers_only=True, mark_seen=False)], ["second"])
    equal(box.uids(A(text="k\u00f6ln"), charset="UTF-8"), ["1", "2", "3"])
    equal(box.uids(A(date_gte=datetime.date.today(), seen=False)), ["1", "2", "3"])
    equal(box.numbers_to_uids(box.numbers()), ["1", "2", "3"])
    equal([mail.uid for mail in box.fetch(reverse=True, limit=2)], ["3", "2"])
    equal(box.uids(A(seen=True)), ["2", "3"])

    equal({folder.name for folder in box.folder.list() if "\\Trash" in folder.flags}, {"Trash"})
    box.folder.create("Projekte|\u00dcbung".replace("|", "/"))
    assert box.folder.exists("Projekte/\u00dcbung")
    box.folder.rename("Projekte/\u00dcbung", "Projekte/Fertig")
    box.folder.subscribe("Projekte/Fertig", True)
    assert "Projekte/Fertig" in {folder.name for folder in box.folder.list(subscribed_only=True)}
    equal(box.folder.status("INBOX")["MESSAGES"], 3)

    box.flag("1", [MailMessageFlags.FLAGGED, "work"], True)
    equal(box.uids(A(keyword="work")), ["1"])
    box.append(message("appended"), "Projekte/Fertig", dt=datetime.datetime(2021, 5, 4, tzinfo=datetime.timezone.utc), flag_set=["\\Seen"])
    box.copy(["1", "2"], "Projekte/Fertig")
    box.move("3", "Trash")
    box.delete("2")
    equal(box.uids(), ["1"])
    box.folder.set("Projekte/Fertig")
    equal([(mail.uid, mail.subject) for mail in box.fetch()], [("1", "appended"), ("2", "first"), ("3", "second")])
    assert {"work", "\\Flagged"} <= set(next(box.fetch(A(uid="2"))).flags)
    box.folder.set("INBOX")
    box.folder.delete("Projekte/Fertig")

    threading.Timer(0.3, deliver, [message("while idle")]).start()
    assert b"* 2 EXISTS" in box.idle.wait(timeout=20)
    equal([mail.subject for mail in box.fetch(A(new=True))], ["while idle"])
    equal(box.uids(sort="REVERSE SUBJECT"), ["4", "1"])

with MailBoxStartTls(HOST, PORTS["imap"], timeout=20, ssl_context=TLS).login_utf8(ALICE, PASSWORD) as box:
    equal(len(box.uids()), 2)
print("all good")
