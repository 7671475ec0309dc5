//! The named bounds of the store.
//!
//! *Owns*: every bound of the engine and of what it stores. *Promises*: a name per bound, its unit in the name, the
//! reason beside it. *Assumes*: whoever holds the buffer, list or loop obeys. *Never*: computes.

/// Keywords a mailbox may have: bits 5..=63 of a message's flags.
pub const KEYWORDS_PER_MAILBOX_MAX: usize = 59;
/// Bytes of one keyword.
pub const KEYWORD_BYTES_MAX: usize = 128;
/// Bytes of a mailbox's full name.
pub const MAILBOX_NAME_BYTES_MAX: usize = 1000;
/// Levels of a mailbox's name.
pub const MAILBOX_LEVELS_MAX: usize = 32;
/// Mailboxes of one account.
pub const MAILBOXES_PER_ACCOUNT_MAX: usize = 20_000;
/// Subscribed names of one account.
pub const SUBSCRIPTIONS_PER_ACCOUNT_MAX: usize = 20_000;
/// Messages of one Append.
pub const APPEND_MESSAGES_MAX: usize = 1_000;
/// Bytes of the flags of all messages of one Append.
pub const APPEND_FLAG_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a POP3 unique-id (rfc1939#7).
pub const UNIQUE_ID_BYTES_MAX: usize = 70;
/// The greatest UIDVALIDITY that a mailbox adopts: 268 million mailboxes can be created after that.
pub const UID_VALIDITY_ADOPTED_MAX: u32 = 0xf000_0000;
/// Names that an account remembers for having lost a UIDVALIDITY that several of its mailboxes have. Of a value for
/// which there is no room any more, every name counts as one, and a rename costs that mailbox its UIDVALIDITY.
pub const SHARED_VALIDITY_NAMES_MAX: usize = 1_024;
/// Entries of annotations that a mailbox may have, and an account for the server.
pub const METADATA_ENTRIES_MAX: usize = 1_000;
/// Bytes of an annotation's entry name.
pub const METADATA_NAME_BYTES_MAX: usize = 1_000;
/// Bytes of an annotation's value (rfc5464#4.1 asks for 1,024 at least).
pub const METADATA_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all annotations of an account and its mailboxes: names and values.
pub const METADATA_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries of a mailbox's access control list.
pub const ACL_ENTRIES_PER_MAILBOX_MAX: usize = 1_000;
/// Entries of the access control lists of all mailboxes of an account.
pub const ACL_ENTRIES_PER_ACCOUNT_MAX: usize = 100_000;
/// Bytes of an identifier in an access control list: an address and a sign.
pub const ACL_IDENTIFIER_BYTES_MAX: usize = ADDRESS_BYTES_MAX + 1;
/// Capabilities that can be kept from an account's clients.
pub const HIDDEN_CAPABILITIES_MAX: usize = 64;
/// Bytes of the name of a capability.
pub const CAPABILITY_BYTES_MAX: usize = 64;
/// Bytes of a referral's URL.
pub const REFERRAL_BYTES_MAX: usize = 1_000;
/// Events of an account that are remembered for those who ask what happened to its mailboxes.
pub const ACCOUNT_EVENTS_MAX: usize = 1_024;
/// Bytes of the names in them.
pub const ACCOUNT_EVENT_BYTES_MAX: usize = 64 * 1024;
/// Accounts of one shard.
pub const ACCOUNTS_PER_SHARD_MAX: usize = 10_000_000;
/// Aliases of one shard.
pub const ALIASES_PER_SHARD_MAX: usize = 10_000_000;
/// Domains of a server.
pub const DOMAINS_MAX: usize = 1_000_000;
/// Targets of one alias.
pub const ALIAS_TARGETS_MAX: usize = 100;
/// Bytes of an address (rfc5321#4.5.3.1.3 gives 254 for a path; room for UTF-8).
pub const ADDRESS_BYTES_MAX: usize = 512;
/// Bytes of a password hash in PHC form.
pub const PASSWORD_HASH_BYTES_MAX: usize = 512;
/// Bytes of a domain name (rfc1035#2.3.4; U-labels may take more than their A-labels).
pub const DOMAIN_BYTES_MAX: usize = 512;
/// Bytes of any string in a record: its length has two bytes. The bounds above are narrower, and `apply`
/// judges them.
pub const RECORD_STRING_BYTES_MAX: usize = 65_535;

/// Octets of each text that the log has of a session; what is longer is cut.
pub const SESSION_TEXT_BYTES_MAX: usize = ADDRESS_BYTES_MAX;

/// Readings that wait for the next change, so that they cost no write of their own; more are written at once.
pub const READINGS_HELD_MAX: usize = 256;

/// How long readings wait at most, in milliseconds. A crash loses what waits.
pub const READINGS_HOLD_MS: u64 = 5_000;
/// Ranges of a set of UIDs in one record (8 bytes each).
pub const RECORD_UID_RANGES_MAX: usize = 524_288;
/// Bytes of one message the format can hold, whatever the configuration allows.
pub const BODY_BYTES_MAX: usize = 100 * 1024 * 1024;
/// Bytes of one encoded summary: room for the structure of a message with [`PARTS_STORED_MAX`] plain parts, which
/// takes about 2.5 MB.
pub const SUMMARY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Ranges of positions at which bodies are known not to be what was written; what is found beyond is told and
/// not kept.
pub const DISTRUSTED_RANGES_MAX: usize = 4_096;
/// Bytes that compaction reads and writes a second.
pub const COMPACT_BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;
/// Bytes that it reads at once; a larger record is read whole.
pub const COMPACT_READ_BYTES: u64 = 1024 * 1024;
/// Shorter pieces are joined for a write; longer ones are handed on as they were read.
pub const COMPACT_JOIN_BYTES: usize = 8 * 1024;
/// Bytes that it gathers before it writes.
pub const COMPACT_WRITE_BYTES: u64 = 1024 * 1024;
/// Milliseconds for which a file stays that nobody needs any more: longer than any session may stall that sends from
/// it.
pub const COMPACT_GRACE_MS: u64 = 35 * 60 * 1000;
/// The same on a full disk, where room is worth more than the answer to a client that stalls in the middle of it: what
/// is under way goes on from its mapping, and who asks again is sent from where the message is by then.
pub const COMPACT_GRACE_FULL_MS: u64 = 5_000;
/// Milliseconds between two looks at what is worth compacting.
pub const COMPACT_LOOK_MS: u64 = 5_000;
/// So many looks in a row find something worth compacting that no two checkpoints cover before they are made early.
pub const COMPACT_PATIENCE_LOOKS: u64 = 12;
/// Percent of the bytes of all files that should be alive, unless the configuration says otherwise. What is not alive
/// is room that compaction gives back.
pub const COMPACT_LIVE_PERCENT: u8 = 80;
/// So many small neighbours become one file; small is what so many of make one of the usual size.
pub const COMPACT_SMALL_FILES: usize = 4;
/// Milliseconds after which compaction tries again that found no room, or damage.
pub const COMPACT_RETRY_MS: u64 = 60_000;
/// The same at most, when it has found no room again and again: every attempt writes as much as there is room for.
pub const COMPACT_RETRY_MAX_MS: u64 = 6 * 60 * 60 * 1000;
/// Bytes that scrub reads a second, unless configured: a terabyte in a day and a half.
pub const SCRUB_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;
/// Milliseconds from the beginning of one round of scrub to that of the next, if it is done by then: a week.
pub const SCRUB_ROUND_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Bytes that scrub reads at once.
pub const SCRUB_READ_BYTES: u64 = 256 * 1024;
/// Bytes that it reads at once where some cannot be read.
pub const SCRUB_NARROW_BYTES: u64 = 4096;
/// Bytes that it reads at once of a pack with compressed bodies.
pub const SCRUB_PRESSED_BYTES: u64 = 64 * 1024;
/// Octets that it gets out of them in one step, at least; a quarter of a millisecond.
pub const SCRUB_UNFOLD_BYTES: usize = 256 * 1024;
/// Bytes of a pack's dictionary that it believes in.
pub const SCRUB_DICTIONARY_BYTES_MAX: u64 = 1024 * 1024;
/// Runs of files that could not be read and are known of until scrub has looked at them.
pub const UNREADABLE_RUNS_MAX: usize = 1_024;
/// Places that wait to be put back as they were; what comes beyond is found again in the next round.
pub const MENDS_WAITING_MAX: usize = 64;
/// Accounts that one step of it looks at for something to read.
pub const SCRUB_ACCOUNT_LOOKS: usize = 64;
/// Places with rot that wait to be told; what comes beyond is told in the next round.
pub const ROT_WAITING_MAX: usize = 1_000;
/// Milliseconds for which removed messages can be had back, unless configured: 7 days.
pub const UNDELETE_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Messages of a large change that are worked on in one step: some 2 ms. In between others are served.
pub const APPLY_STEP_MESSAGES: usize = 8 * 1024;
/// Changes of one batch that are carried out in one step.
pub const APPLY_STEP_CHANGES: usize = 512;
/// Messages of one Restore.
pub const RESTORE_MESSAGES_MAX: u64 = 10_000;
/// Messages in one piece of an account that comes from another log.
pub const ARRIVAL_MESSAGES_MAX: usize = 1_024;
/// Bytes of names in one such piece; a longer one stands alone.
pub const ARRIVAL_BYTES: usize = 64 * 1024;
/// Runs of expunged UIDs in one such piece.
pub const ARRIVAL_RUNS: usize = 4_096;
/// Accounts of one slot that can change shards together, those included that are deleted and can be had back:
/// 67 million
/// on a server.
pub const SLOT_ACCOUNTS_MAX: usize = 16 * 1024;
/// Octets of the aliases of one slot that can change shards together.
pub const SLOT_ALIAS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Removed messages of one account that can be had back, 302 MB; the oldest go when there are more. Twice as many as
/// anybody deletes by mistake.
pub const GRAVES_PER_ACCOUNT_MAX: usize = 4 * 1024 * 1024;
/// Bytes of the names and keywords of removed mailboxes of one account that are kept; the oldest go when it is more.
pub const BURIED_NAMES_PER_ACCOUNT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The same of all accounts of a shard: a quarter of what a checkpoint can be read with.
pub const BURIED_NAMES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Removed messages that one change lets go for good, or all of one moment if those are more.
pub const REAP_MESSAGES_MAX: usize = 4_096;
/// Bytes of log within which a stored body can be named by a change for the first time. More than can wait for the
/// disk, so that no delivery loses its body; a set of messages that takes longer to arrive is refused as a whole.
pub const FRESH_SPAN_BYTES: u64 = 512 * 1024 * 1024;
/// The greatest mod-sequence of an account: it has 40 bits in a mailbox's columns, a thousand changes a second for
/// 34 years.
pub const MODSEQ_MAX: u64 = (1 << 40) - 1;
/// Bytes of a segment file.
pub const SEGMENT_BYTES: u64 = 128 * 1024 * 1024;
/// Bytes after which a batch takes no further record; a larger record gets a batch of its own.
pub const BATCH_BYTES_SOFT_MAX: usize = 4 * 1024 * 1024;
/// Bytes of appended changes that may wait for the disk.
pub const PENDING_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Runs of expunged UIDs remembered per mailbox for those who ask what vanished.
pub const EXPUNGE_HISTORY_MAX: usize = 65_536;
/// Dot lines that an encoded summary can hold; a message with more is scanned when it is sent.
pub const DOT_LINES_STORED_MAX: usize = 4_096;
/// MIME parts that an encoded summary can hold.
pub const PARTS_STORED_MAX: usize = 10_000;
/// Numbers in one stored IMAP part number.
pub const PART_DEPTH_STORED_MAX: usize = 128;
/// Fields of a message's header whose places an encoded summary can hold; of a header with more they are scanned.
pub const FIELDS_STORED_MAX: usize = 1_024;
/// Bytes of one text that is kept for sorting; longer ones are cut and compare by their start.
pub const SORT_TEXT_BYTES_MAX: usize = 1_000;
/// Message-IDs kept of one References or In-Reply-To field: the first and the last ones.
pub const THREAD_IDS_STORED_MAX: usize = 200;
/// Bytes of a preview: 200 characters of four octets (rfc8970#3.3).
pub const PREVIEW_BYTES_MAX: usize = 800;
/// Bits of the largest text filter, 16 KiB; a power of two. Enough for a mebibyte of prose.
pub const FILTER_BITS_MAX: usize = 131_072;
/// Octets of folded texts that a filter in the making keeps before it takes its largest table; most messages end
/// before.
pub const FILTER_WAITING_BYTES_MAX: usize = 8 * 1024;
/// Grams of a search string that are looked up; more would not tell more.
pub const FILTER_NEEDLE_GRAMS_MAX: usize = 64;
/// Slices of one gathered write; a body in more of them is joined first.
pub const BATCH_PARTS_MAX: usize = 512;
/// Accounts that a batch names as those of the batch before it; more are written as "any".
pub const WITNESS_ACCOUNTS_MAX: usize = 4096;
/// Bytes at the end of every segment that only changes which need no space may use, and only while the disk
/// is full: flags, expunges, deletions. At most an eighth of a segment. A change alone costs a block, and another
/// for the batch that vouches for it: room for 2,000 of them at least, for many more when they come together.
pub const HEADROOM_BYTES: u64 = 16 * 1024 * 1024;
/// Smallest segment; room for headers, headroom and a few small batches.
pub const SEGMENT_BYTES_MIN: u64 = 32 * 1024;
/// Largest segment; offsets and lengths within one fit 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Milliseconds without an append after which an empty batch vouches for the last one.
pub const IDLE_BATCH_MS: u64 = 500;
/// Milliseconds between attempts to make a segment on a full disk.
pub const DISK_FULL_RETRY_MS: u64 = 1_000;
/// Bytes that a scan reads ahead; a larger batch makes it read the batch whole.
pub const SCAN_CHUNK_BYTES: usize = 1024 * 1024;
/// Bytes of log after which the next checkpoint is begun, unless the configuration says otherwise.
pub const CHECKPOINT_LOG_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes that a checkpoint copies between two writes; one account more than that at most, and one that is about to
/// change.
pub const CHECKPOINT_STEP_BYTES: usize = 256 * 1024;
/// Bytes of records that are written and summed together.
pub const CHECKPOINT_GROUP_BYTES: usize = 256 * 1024;
/// Bytes at the end of a file in which its footers are looked for: both of a file of 16 GiB.
pub const CHECKPOINT_FOOTERS_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Bytes of one group that is read: as many, and a record as long as one account's head can be.
pub const CHECKPOINT_GROUP_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// Files that a checkpoint may consist of before the one with the least in it is merged.
pub const CHECKPOINT_FILES_MAX: usize = 64;
/// Groups of records of old files that one checkpoint looks through for what is still needed: 16 MiB.
pub const CHECKPOINT_RETIRED_GROUPS: usize = 64;
/// Milliseconds between a checkpoint that found no room and the next attempt.
pub const CHECKPOINT_RETRY_MS: u64 = 5_000;
/// The same at most, when it has found no room again and again.
pub const CHECKPOINT_RETRY_MAX_MS: u64 = 10 * 60 * 1000;
/// Bytes of events, annotations and the like that stand in an account's head; more lie beside it.
pub const HEAD_PART_BYTES_MAX: usize = 64;
/// Bytes that the accounts in use may take in memory, unless the configuration says otherwise.
pub const INDEX_MEMORY_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Accounts that one tick looks at to put them to sleep.
pub const EVICTION_LOOKS: usize = 1_024;
/// Damages that a recovery describes one by one; the rest is counted.
pub const DAMAGES_TOLD_MAX: usize = 1_000;
/// Account ids left out after a loss that may have created any: more than a log loses in one place.
pub const ACCOUNT_IDS_SKIPPED: u64 = 1 << 20;
/// Octets of a block of a compressed body; its last block has fewer. What a look at a part of it costs at least: some
/// 60 microseconds.
pub const PRESSED_BLOCK_BYTES: u32 = 64 * 1024;
/// Octets below which a body is not worth compressing.
pub const PRESS_OCTETS_MIN: usize = 256;
/// A body is kept compressed if that takes at most so many hundredths of its octets.
pub const PRESSED_PERCENT_MAX: usize = 90;
/// Bytes of a pack's dictionary. Half of it saves a thirtieth less, twice as much saves a twentieth more.
pub const PRESS_DICTIONARY_BYTES: usize = 64 * 1024;
/// Octets of bodies that a dictionary is made of.
pub const PRESS_SAMPLES_BYTES: usize = 4 * 1024 * 1024;
/// Octets at the beginning of a body that go into it.
pub const PRESS_SAMPLE_BYTES_MAX: usize = 16 * 1024;
/// Dictionaries that are kept ready to be used, about 90 KiB each.
pub const PRESS_DICTIONARIES_KEPT: usize = 16;
/// zstd's level unless the configuration says otherwise.
pub const PRESS_LEVEL: i32 = 3;
/// A dictionary is made of at least so many times its length.
pub const PRESS_SAMPLES_DICTIONARIES: usize = 8;
/// Octets of bodies that are gathered before a pack's dictionary is made; less afterwards.
pub const PRESS_GATHER_BYTES: usize = 16 * 1024 * 1024;
