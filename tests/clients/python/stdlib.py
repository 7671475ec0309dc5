"""smtplib, imaplib and poplib against a running server. Ends with "all good" or an exception."""

import imaplib
import poplib
import smtplib
from email.message import EmailMessage

from common import PASSWORD as password, PORTS, TLS as context

smtp_port, submissions_port, pop3s_port, imaps_port, lmtp_port = (
    PORTS[name] for name in ("smtp", "submissions", "pop3s", "imaps", "lmtp")
)


def mail(subject, body="A line.\n.\n..\nGrüße\n"):
    message = EmailMessage()
    message["From"] = "bob@example.test"
    message["To"] = "alice@example.test"
    message["Subject"] = subject
    message.set_content(body, cte="8bit")
    message.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="octet-stream", filename="a.bin")
    return message


with smtplib.SMTP("localhost", smtp_port) as smtp:
    smtp.starttls(context=context)
    smtp.send_message(mail("by smtp"))
    try:
        smtp.sendmail("a@b.test", ["nobody@example.test"], b"x")
        raise AssertionError("an unknown recipient was taken")
    except smtplib.SMTPRecipientsRefused as refused:
        assert refused.recipients["nobody@example.test"][0] == 550
with smtplib.SMTP_SSL("localhost", submissions_port, context=context) as smtp:
    smtp.login("bob@example.test", password)
    smtp.send_message(mail("by submission"))
with smtplib.LMTP("localhost", lmtp_port) as lmtp:
    refused = lmtp.sendmail("a@b.test", ["alice@example.test", "nobody@example.test"], b"Subject: by lmtp\r\n\r\nx\r\n")
    assert list(refused) == ["nobody@example.test"], refused

imap = imaplib.IMAP4_SSL("localhost", imaps_port, ssl_context=context)
assert imap.login("alice@example.test", password)[0] == "OK"
assert imap.select("INBOX") == ("OK", [b"3"])
assert imap.search(None, "SUBJECT", '"by sub"') == ("OK", [b"2"])
assert imap.search(None, "BODY", '"A line"') == ("OK", [b"1 2"])
kind, answer = imap.fetch("1", "(RFC822.SIZE BODY.PEEK[])")
assert kind == "OK" and f"RFC822.SIZE {len(answer[0][1])} ".encode() in answer[0][0], answer[0][0]
kind, answer = imap.fetch("1", "(BODYSTRUCTURE ENVELOPE)")
assert b'"by smtp"' in answer[0] and b'"a.bin"' in answer[0], answer
kind, answer = imap.fetch("1", "(BODY.PEEK[2])")
assert len(__import__("base64").b64decode(answer[0][1])) == 256 * 40
assert imap.store("1", "+FLAGS", r"(\Seen \Flagged work)")[0] == "OK"
assert imap.search(None, "KEYWORD", "work", "SEEN") == ("OK", [b"1"])
assert imap.create("Projects/Übung".encode("utf-7").decode().replace("+", "&"))[0] in ("OK", "NO")
assert imap.create("Projects/2026")[0] == "OK"
assert imap.copy("1", "Projects/2026")[0] == "OK"
assert imap.status("Projects/2026", "(MESSAGES UNSEEN)")[1] == [b"Projects/2026 (MESSAGES 1 UNSEEN 0)"]
assert imap.append("Sent", r"(\Seen)", None, mail("appended").as_bytes().replace(b"\n", b"\r\n"))[0] == "OK"
assert imap.uid("MOVE", "2", "Trash")[0] == "OK"
assert imap.select("INBOX")[1] == [b"2"]
assert imap.store("2", "+FLAGS.SILENT", r"(\Deleted)")[0] == "OK"
assert imap.expunge()[0] == "OK"
assert imap.noop()[0] == "OK"

pop = poplib.POP3_SSL("localhost", pop3s_port, context=context)
pop.user("alice@example.test")
pop.pass_(password)
assert pop.stat()[0] == 1
_, lines, octets = pop.retr(1)
assert sum(len(line) + 2 for line in lines) == octets == pop.list(1).__len__() * 0 + pop.stat()[1]
assert b"Subject: by smtp" in pop.top(1, 0)[1]
uidl = pop.uidl(1)
pop.dele(1)
pop.rset()
assert pop.uidl(1) == uidl
pop.dele(1)
pop.quit()
assert imap.noop()[0] == "OK"
assert imap.select("INBOX")[1] == [b"0"]
assert imap.logout()[0] == "BYE"
print("all good")
