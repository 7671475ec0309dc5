//! Every setting that exists.
//!
//! *Owns*: names, defaults, bounds and one line of comment each. *Promises*: `ringpost config show` prints
//! this table.
//! *Assumes*: units stand last in names. *Never*: holds a value.

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number within bounds, both inclusive.
    Number {
        /// Least.
        min: u64,
        /// Greatest.
        max: u64,
    },
    /// `true` or `false`.
    Switch,
    /// A text of at most so many octets.
    Text {
        /// Octets.
        bytes_max: usize,
        /// Whether it may be empty.
        empty: bool,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of `address:port`.
    Addresses,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted name.
    pub name: &'static str,
    /// What it looks like.
    pub kind: Kind,
    /// Its default, as TOML.
    pub default: &'static str,
    /// One line for people.
    pub comment: &'static str,
}

const fn number(name: &'static str, default: &'static str, min: u64, max: u64, comment: &'static str) -> Key {
    Key { name, kind: Kind::Number { min, max }, default, comment }
}

const fn text(name: &'static str, default: &'static str, empty: bool, comment: &'static str) -> Key {
    Key { name, kind: Kind::Text { bytes_max: 255, empty }, default, comment }
}

const fn addresses(name: &'static str, default: &'static str, comment: &'static str) -> Key {
    Key { name, kind: Kind::Addresses, default, comment }
}

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const MIB: u64 = 1024 * 1024;

/// All settings, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    text("hostname", "\"localhost\"", false, "Name in greetings and trace fields; the name clients know."),
    number(
        "shards",
        "0",
        0,
        1024,
        "Shards of a new data folder; 0: one a core. `ringpost-log reshard` changes it later.",
    ),
    Key {
        name: "pin_threads",
        kind: Kind::Switch,
        default: "true",
        comment: "Whether a shard's thread stays on one core.",
    },
    addresses("listen.smtp", "[\"127.0.0.1:2525\"]", "SMTP from other servers, STARTTLS offered."),
    addresses("listen.submission", "[\"127.0.0.1:2587\"]", "Mail from users, STARTTLS offered."),
    addresses("listen.submissions", "[\"127.0.0.1:2465\"]", "Mail from users, TLS from the first byte."),
    addresses(
        "listen.lmtp",
        "[\"127.0.0.1:2424\"]",
        "LMTP from a local mail transfer agent; no authentication.",
    ),
    addresses("listen.pop3", "[\"127.0.0.1:2110\"]", "POP3, STLS offered."),
    addresses("listen.pop3s", "[\"127.0.0.1:2995\"]", "POP3, TLS from the first byte."),
    addresses("listen.imap", "[\"127.0.0.1:2143\"]", "IMAP, STARTTLS offered."),
    addresses("listen.imaps", "[\"127.0.0.1:2993\"]", "IMAP, TLS from the first byte."),
    text("tls.certificate_file", "\"\"", true, "Certificate chain in PEM; empty: a self-signed one is made."),
    text("tls.private_key_file", "\"\"", true, "Its private key in PEM; empty: as above."),
    Key {
        name: "auth.plaintext_login",
        kind: Kind::Choice(&["loopback", "never", "always"]),
        default: "\"loopback\"",
        comment: "Passwords without TLS: only if every plain listener is on loopback, never, or always.",
    },
    number("auth.verify_threads", "0", 0, 256, "Threads that check passwords; 0: one a core."),
    number(
        "limits.message_bytes_max",
        "52428800",
        1024,
        100 * MIB,
        "Largest message taken, in octets, without the trace fields that are added.",
    ),
    number(
        "limits.recipients_max",
        "1000",
        100,
        10_000,
        "Recipients of one transaction (rfc5321: at least 100).",
    ),
    number(
        "timeouts.login_timeout_ms",
        "60000",
        1_000,
        30 * MINUTE_MS,
        "Silence before login after which a POP3 or IMAP session ends.",
    ),
    number(
        "timeouts.pop3_idle_timeout_ms",
        "600000",
        10 * MINUTE_MS,
        DAY_MS,
        "Silence after which a POP3 session ends (rfc1939: at least ten minutes).",
    ),
    number(
        "timeouts.imap_idle_timeout_ms",
        "1860000",
        30 * MINUTE_MS,
        DAY_MS,
        "Silence after which an IMAP session ends (rfc3501: at least thirty minutes).",
    ),
    number(
        "timeouts.smtp_idle_timeout_ms",
        "300000",
        MINUTE_MS,
        DAY_MS,
        "Silence after which an SMTP session ends (rfc5321: five minutes).",
    ),
    number(
        "pop3.login_delay_s",
        "0",
        0,
        86_400,
        "Least seconds between logins that POP3 announces; 0: none.",
    ),
    text(
        "imap.administrators",
        "\"\"",
        true,
        "Addresses of users who may set quotas by IMAP, with spaces between.",
    ),
    text(
        "imap.submission_users",
        "\"\"",
        true,
        "Addresses that submission servers log in with, who may fetch submit+ URLs, with spaces between.",
    ),
    Key {
        name: "imap.literals",
        kind: Kind::Choice(&["plus", "minus"]),
        default: "\"plus\"",
        comment: "Literals that IMAP clients send unasked (rfc7888): LITERAL+, or LITERAL- with 4096 octets at most.",
    },
    Key {
        name: "imap.login_referrals",
        kind: Kind::Switch,
        default: "false",
        comment: "Whether accounts with a referral are sent to its server at login (rfc2221).",
    },
    number(
        "imap.message_limit",
        "0",
        0,
        u32::MAX as u64,
        "Messages of one IMAP command (rfc9738), at least 1000; 0: all, since older clients would miss the rest.",
    ),
    number(
        "imap.save_limit",
        "0",
        0,
        u32::MAX as u64,
        "Messages that one COPY or APPEND makes (rfc9738), at least 1000; 0: any. imap.message_limit replaces it.",
    ),
    Key {
        name: "imap.legacy_8bit_headers",
        kind: Kind::Switch,
        default: "false",
        comment: "Whether APPEND takes 8-bit headers without ENABLE UTF8=ACCEPT (rfc9755 forbids it; for migrations).",
    },
    Key {
        name: "delivery.subaddress_separator",
        kind: Kind::Choice(&["+", "-", "=", "#"]),
        default: "\"+\"",
        comment: "Splits a detail off the local part: user+detail is delivered to user.",
    },
    number(
        "store.segment_bytes",
        "134217728",
        16 * MIB,
        1024 * MIB,
        "Bytes of a log segment; written ahead in full, so that a commit never waits for the file to grow.",
    ),
    number(
        "store.undelete_days",
        "7",
        0,
        3_650,
        "Days for which removed messages can be had back. Until then they take room on the disk.",
    ),
    Key {
        name: "store.note_reads",
        kind: Kind::Switch,
        default: "true",
        comment: "Whether the log notes which messages POP3 sessions read, some 200 bytes a session.",
    },
    number(
        "store.checkpoint_log_bytes",
        "67108864",
        0,
        1 << 40,
        "Bytes of a shard's log between two checkpoints of its index; a start reads the log behind the last. 0: none.",
    ),
    number(
        "store.compact_live_percent",
        "80",
        10,
        95,
        "How much of old files should be mail: as long as less is, the emptiest are copied into smaller ones.",
    ),
    number(
        "store.compact_bytes_per_second",
        "67108864",
        0,
        1 << 40,
        "Bytes that all shards read and write a second at most for that. 0: no room ever comes back.",
    ),
    number(
        "store.compact_grace_seconds",
        "2100",
        0,
        86_400,
        "Seconds for which a compacted file stays, for clients that still fetch from it; below that they are cut off.",
    ),
    number(
        "store.compress_after_days",
        "0",
        0,
        36_500,
        "Age in days from which mail is compressed when compaction moves it; it then moves all that old. 0: never.",
    ),
    number(
        "store.compress_level",
        "3",
        1,
        12,
        "How hard: zstd's level. 6 saves a thirtieth more than 3 and takes more than twice as long.",
    ),
    number(
        "store.index_memory_bytes_max",
        "1073741824",
        MIB,
        1 << 44,
        "Memory of all shards for accounts in use; above it, accounts that nobody asks for are put to sleep.",
    ),
    number(
        "store.scrub_bytes_per_second",
        "8388608",
        0,
        1 << 40,
        "Bytes a second that a shard reads to find what the disk has not kept as it was written. 0: none.",
    ),
    Key {
        name: "log.format",
        kind: Kind::Choice(&["text", "json"]),
        default: "\"text\"",
        comment: "Form of the log lines on standard error.",
    },
];
