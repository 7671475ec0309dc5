"""What the scripts share: where the server is, messages, and a way to deliver one."""

import os
import smtplib
import ssl

SERVICES = ("smtp", "submissions", "lmtp", "pop3s", "imap", "imaps")
HOST = "localhost"
PASSWORD = os.environ["RINGPOST_PASSWORD"]
PORTS = {name: int(os.environ["RINGPOST_" + name.upper()]) for name in SERVICES}
TLS = ssl.create_default_context(cafile=os.environ["RINGPOST_CERTIFICATE"])
ALICE, BOB = "alice@example.test", "bob@example.test"


def message(subject, body="A line.\r\nGr\u00fc\u00dfe aus K\u00f6ln\r\n", reply_to=None, date=1):
    """A message as octets: 8-bit text, a Message-ID made of its subject."""
    lines = [
        "From: Ann <ann@elsewhere.test>",
        f"To: {ALICE}",
        f"Subject: {subject}",
        f"Date: {date:02} Jan 2026 10:00:00 +0000",
        f"Message-ID: <{subject.split()[-1]}{date}@elsewhere.test>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    if reply_to:
        lines.insert(5, f"In-Reply-To: <{reply_to}@elsewhere.test>")
        lines.insert(6, f"References: <{reply_to}@elsewhere.test>")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def deliver(octets, to=ALICE):
    """Sends a message by LMTP, as an MTA does."""
    with smtplib.LMTP(HOST, PORTS["lmtp"]) as lmtp:
        refused = lmtp.sendmail("ann@elsewhere.test", [to], octets, mail_options=["BODY=8BITMIME"])
        assert not refused, refused


def equal(found, wanted, what=""):
    """An assertion that shows both sides."""
    assert found == wanted, f"{what}: {found!r} instead of {wanted!r}"
