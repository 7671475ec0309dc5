//! The named bounds of the server.
//!
//! *Owns*: every bound that no operator changes; what can be changed has default and bound in `config::KEYS`.
//! *Promises*: a name per bound, its unit in the name, the reason or the RFC beside it. *Assumes*: whoever holds the
//! buffer, queue or loop obeys. *Never*: computes.

/// Bytes of output a session may have queued before it must wait for `resume`.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// What a queued output other than text counts for against `OUTPUT_BYTES_MAX`: the bookkeeping it costs.
pub const OUTPUT_PIECE_COST_BYTES: usize = 64;
/// Octets of compressed bodies that are unfolded for one send.
pub const UNFOLD_BYTES_MAX: u32 = 128 * 1024;
/// Messages one resumable step of a long command looks at before it yields.
pub const STEP_MESSAGES_MAX: usize = 512;
/// Bytes one resumable step of a search looks at before it yields.
pub const STEP_BYTES_MAX: usize = 1024 * 1024;
/// Bad commands before login after which a session ends.
pub const BAD_COMMANDS_BEFORE_LOGIN_MAX: u32 = 10;
/// Bad commands in a row after login after which a session ends.
pub const BAD_COMMANDS_AFTER_LOGIN_MAX: u32 = 100;
/// Failed logins after which a session ends.
pub const LOGIN_FAILURES_MAX: u32 = 5;
/// Octets of a POP3 command line, CRLF included (rfc2449#4).
pub const POP3_LINE_BYTES_MAX: usize = 255;
/// Octets of a SASL response line (rfc4422; PLAIN carries three fields of at most 255 each, in base64).
pub const SASL_LINE_BYTES_MAX: usize = 12_288;
/// Octets of a password, however it is sent (rfc4616#2 asks for 255).
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// Octets of an SMTP command line, extensions included (rfc5321#4.5.3.1.4 asks for 512, SMTPUTF8 and others
/// add).
pub const SMTP_LINE_BYTES_MAX: usize = 4_096;
/// Octets of a domain, or of the name a client gives itself (rfc5321#4.5.3.1.2).
pub const SMTP_DOMAIN_BYTES_MAX: usize = 255;
/// Octets of the fields that the server adds to a message: host and client name, envelope addresses, dates, ids.
pub const SMTP_ADDED_BYTES_MAX: usize = 4_096;
/// Recipients that nobody is behind which one SMTP session may name since its last stored message: a list gone stale is
/// fine, guessing addresses is not. LMTP clients are our own and exempt.
pub const SMTP_UNKNOWN_RECIPIENTS_MAX: u32 = 100;
/// Accounts behind the recipients of one transaction: an alias named again costs as much as the first time.
pub const SMTP_ACCOUNTS_MAX: usize = 10_000;
/// Octets reserved at once for a message on the word of its `SIZE=`.
pub const SMTP_RESERVE_BYTES_MAX: u64 = 1024 * 1024;
/// Octets of a Message-ID that are kept for the log line.
pub const SMTP_MESSAGE_ID_BYTES_MAX: usize = 998;
/// Octets of an IMAP command line without its literals (rfc7162#4 advises 8192; long UID sets need more).
pub const IMAP_LINE_BYTES_MAX: usize = 65_536;
/// Octets of an IMAP command line before login: a SASL response of the longest names and password, and room.
pub const IMAP_LINE_BEFORE_LOGIN_BYTES_MAX: usize = 8_192;
/// Octets of all literals of one IMAP command other than APPEND's message.
pub const IMAP_LITERAL_BYTES_MAX: usize = 1024 * 1024;
/// Octets of all literals of one IMAP command before login.
pub const IMAP_LITERAL_BEFORE_LOGIN_BYTES_MAX: usize = 4_096;
/// Milliseconds after which an IMAP command that is still under way says so (rfc9585#4 asks for 10 to 15 seconds).
pub const IMAP_PROGRESS_AFTER_MS: u64 = 10_000;
/// Milliseconds between two such replies.
pub const IMAP_PROGRESS_EVERY_MS: u64 = 15_000;
/// Octets of one IMAP literal that a client may send without waiting where LITERAL- is announced (rfc7888#5).
pub const IMAP_LITERAL_UNASKED_BYTES_MAX: u64 = 4_096;
/// Parts of one message that CATENATE puts together (rfc4469).
pub const IMAP_CATENATE_PARTS_MAX: usize = 1_024;
/// Octets of an IMAP command's tag.
pub const IMAP_TAG_BYTES_MAX: usize = 255;
/// Octets of refused IMAP input (over-long lines, over-size `{n+}` literals) read and dropped before the
/// session ends.
pub const IMAP_SKIP_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Items of any other list in one IMAP command: flags, header fields, patterns, fetch items, capabilities.
pub const IMAP_LIST_ITEMS_MAX: usize = 1_024;
/// Octets of the patterns of one LIST, the reference counted with each.
pub const IMAP_LIST_PATTERN_BYTES_MAX: usize = 8_192;
/// Octets of names times octets of patterns that one step of LIST compares.
pub const IMAP_LIST_STEP_COST_MAX: usize = 4 * 1024 * 1024;
/// Octets of an IMAP URL (CATENATE, URLAUTH): a mailbox name in percent-encoding, and room for a section.
pub const IMAP_URL_BYTES_MAX: usize = 8_192;
/// Entries of annotations that one IMAP command names.
pub const IMAP_METADATA_ENTRIES_MAX: usize = 128;
/// Octets of messages that travel at once when they are copied to another user's mailbox.
pub const IMAP_TRANSFER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Octets of them that one step copies: the longest message is less than `BATCH_PARTS_MAX` such pieces.
pub const IMAP_TRANSFER_STEP_BYTES: u32 = 256 * 1024;
/// Octets of the subscriptions to other users' mailboxes that a LIST carries along.
pub const IMAP_CARRIED_NAMES_BYTES_MAX: usize = 256 * 1024;
/// Owners whose mailboxes one LIST looks at.
pub const IMAP_OWNERS_MAX: usize = 1_000;
/// URLs that one IMAP command names.
pub const IMAP_URLS_MAX: usize = 100;
/// What a name costs in a step of LIST beside comparisons.
pub const IMAP_LIST_NAME_COST: usize = 4_096;
/// Pairs of an ID command (rfc2971#3.3).
pub const IMAP_ID_PAIRS_MAX: usize = 30;
/// Part numbers in a FETCH section's path.
pub const IMAP_SECTION_PATH_MAX: usize = 100;
/// Nesting of parentheses in an IMAP command (SEARCH keys).
pub const IMAP_NESTING_MAX: usize = 64;
/// Search keys in one IMAP command that look into messages; each may go through a whole message.
pub const IMAP_SEARCH_CONTENT_KEYS_MAX: usize = 64;
/// Search keys in one IMAP command.
pub const IMAP_SEARCH_KEYS_MAX: usize = 1_024;
/// Ranges in one sequence set.
pub const IMAP_SEQUENCE_RANGES_MAX: usize = 65_536;
/// Octets of keys that one SORT or THREAD puts in order: a million messages by subjects of 80 octets.
pub const IMAP_SORT_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Keys that one call of a SORT or THREAD makes a sorted run of.
pub const IMAP_SORT_RUN_MAX: usize = 2_048;
/// Keys that one call of a SORT or THREAD takes from its runs in order; each is a walk down a heap of all runs.
pub const IMAP_SORT_MERGE_MAX: usize = 1_024;
/// Messages whose summaries one call of a SEARCH, SORT or THREAD reads: a few cache lines each that nobody had
/// at hand.
pub const IMAP_GATHER_MESSAGES_MAX: usize = 256;
/// Messages and references to others that one call of a THREAD connects; each is a look-up among all ids.
pub const IMAP_THREAD_LINKS_MAX: usize = 768;
/// Messages, links and table entries that one call of a THREAD touches when it arranges, all over its memory.
pub const IMAP_THREAD_ARRANGE_MAX: usize = 2_048;
/// Octets of summaries that one call of a SEARCH, SORT or THREAD reads of; mostly filters, of which it looks at
/// few.
pub const IMAP_GATHER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Octets of memory that one call of a SORT or THREAD gives back when it is done with them.
pub const IMAP_RELEASE_BYTES_MAX: usize = 1024 * 1024;
/// Messages of which one call of a SORT makes keys that the index alone gives.
pub const IMAP_GATHER_ROWS_MAX: usize = 4_096;
/// Octets between two summaries that are brought in as one: less than what memory is read in.
pub const SUMMARY_GAP_BYTES_MAX: u64 = 4_000;
/// Octets that come into a processor's cache together.
pub const CACHE_LINE_BYTES: usize = 64;
/// Criteria of one SORT.
pub const IMAP_SORT_CRITERIA_MAX: usize = 32;
/// Messages, and ids that stand for messages which are not there, that one THREAD may connect: about 200 MiB.
pub const IMAP_THREAD_NODES_MAX: usize = 4_000_000;
/// Filters within filters of one search; more than the 3 that rfc5466#3.1 asks for, and no loop gets further.
pub const IMAP_FILTER_DEPTH_MAX: usize = 8;
/// Ranges of a search's result that an IMAP session keeps for `$`: 512 KiB.
pub const IMAP_SAVED_RANGES_MAX: usize = 65_536;
/// Messages in the smallest batch that UIDBATCHES makes; the least that rfc10022#3.1.3 allows.
pub const IMAP_UID_BATCH_MESSAGES_MIN: u32 = 500;
/// Batches in one UIDBATCHES reply, 22 octets each: half a million messages in the smallest ones, where
/// rfc10022#3.1.5 asks for 100,000.
pub const IMAP_UID_BATCHES_MAX: u32 = 1_000;
/// Searches of an IMAP session whose results are kept up to date (rfc5267#4.3.1).
pub const IMAP_CONTEXTS_MAX: usize = 8;
/// Ranges of UIDs in the results of one of them: 128 KiB.
pub const IMAP_CONTEXT_RANGES_MAX: usize = 16_384;
/// Those of them that are sorted: each keeps the keys of its results.
pub const IMAP_CONTEXTS_SORTED_MAX: usize = 2;
/// Octets that one of these keeps: about 75,000 messages by subjects of 40 octets.
pub const IMAP_CONTEXT_SORT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Messages whose places in a sorted list are told in one untagged reply.
pub const IMAP_CONTEXT_PLACES_MAX: usize = 256;
/// Ranges of UIDs in one untagged reply that lists them; more go into further replies.
pub const IMAP_LINE_RANGES_MAX: usize = 512;
/// Runs of expunged UIDs an IMAP session may owe its client; one that never lets them be told is disconnected.
pub const IMAP_UNTOLD_EXPUNGES_MAX: usize = 262_144;
/// Messages one change of a long IMAP command touches (STORE, EXPUNGE, `\Seen` of a FETCH).
pub const IMAP_CHANGE_MESSAGES_MAX: usize = 4_096;
/// The least MESSAGELIMIT or SAVELIMIT that may be configured (rfc9738#3).
pub const IMAP_MESSAGE_LIMIT_MIN: u32 = 1_000;
/// Messages one call of an IMAP command looks at where the index alone decides.
pub const IMAP_SCAN_MESSAGES_MAX: usize = 16_384;
/// Messages whose header or summary an IMAP command looks at together, so that one warming serves them all.
pub const IMAP_WARM_MESSAGES_MAX: usize = 64;
/// Octets of messages that are brought in together before the first of them is announced: a disk that refuses them
/// does so while there is still something to say.
pub const WARM_BODIES_BYTES: u32 = 2 * 1024 * 1024;
/// Octets at the start of a message that are brought in with its summary, in the hope that they hold its
/// header.
pub const IMAP_WARM_HEADER_BYTES: u32 = 16 * 1024;
/// Octets of an ENVELOPE, BODY or BODYSTRUCTURE that are copied into a FETCH reply; a longer one is sent from where the
/// summary is stored.
pub const IMAP_READY_BYTES_MAX: usize = 16 * 1024;
/// Octets of a message that one step of a FETCH copies where it cannot send them as they are stored.
pub const IMAP_COPY_BYTES_MAX: u32 = 128 * 1024;
/// Octets of a header line in which the colon behind a field's name is looked for when fields are fetched by name:
/// more than a line may have (rfc5322#2.1.1, 998).
pub const IMAP_FIELD_NAME_BYTES_MAX: usize = 1_000;
/// Messages a POP3 session shows; older ones first, the rest after the next login.
pub const POP3_MESSAGES_MAX: usize = 1_000_000;
/// Ranges of UIDs that a POP3 session was sent and the log has not noted yet; more are noted at once.
pub const POP3_READ_RANGES_MAX: usize = 256;
/// Characters that are kept of a client's name and of its version each (rfc2971#3.3).
pub const IMAP_CLIENT_CHARS_MAX: usize = 60;
/// Octets of a message that one step of TOP (or of a RETR that must look) goes through.
pub const POP3_SCAN_BYTES: u32 = 128 * 1024;
/// MIME nesting that is looked into; deeper parts are shown as application/octet-stream.
pub const MIME_DEPTH_MAX: usize = 100;
/// MIME parts of one message that are looked into.
pub const MIME_PARTS_MAX: usize = 10_000;
/// Octets of a message's header that are looked into for ENVELOPE.
pub const MIME_HEADER_BYTES_MAX: usize = 1024 * 1024;
/// Addresses of one ENVELOPE field.
pub const MIME_ADDRESSES_MAX: usize = 2_000;
/// Parameters of one Content-Type.
pub const MIME_PARAMETERS_MAX: usize = 100;
/// Octets of a multipart boundary that are compared (rfc2046#5.1.1 allows 70); a longer one separates
/// nothing.
pub const MIME_BOUNDARY_BYTES_MAX: usize = 1_024;
/// Octets that one quoted string of ENVELOPE or BODYSTRUCTURE may have; longer ones go as literals.
pub const MIME_QUOTED_BYTES_MAX: usize = 998;
/// Octets of a charset's name.
pub const MIME_CHARSET_BYTES_MAX: usize = 64;
/// Octets of a Message-ID, as of a line (rfc5322#2.1.1); a longer one is none.
pub const MIME_MESSAGE_ID_BYTES_MAX: usize = 998;
/// Characters of a preview (rfc8970#3.3).
pub const MIME_PREVIEW_CHARACTERS_MAX: usize = 200;
/// Text parts that are tried for a preview.
pub const MIME_PREVIEW_PARTS_MAX: usize = 8;
/// Octets of a text that are looked at for its preview.
pub const MIME_PREVIEW_LOOK_BYTES_MAX: usize = 64 * 1024;
/// Octets of a header field that are decoded at once; a longer one is read in spans that end before white space.
pub const MIME_FIELD_SPAN_BYTES: usize = 64 * 1024;
/// Octets of a message that one step of a text search looks at: more than a span of a field.
pub const SEARCH_WINDOW_BYTES: usize = 256 * 1024;
/// Octets of a body that a search decodes before it looks whether the string is in them: what is found early costs
/// little.
pub const SEARCH_PIECE_BYTES: usize = 4 * 1024;
/// Octets of a message that one step of making its summary looks at.
pub const SUMMARISE_STEP_BYTES: usize = 128 * 1024;
/// Octets decoded at once while a message is searched.
pub const MIME_DECODE_BYTES: usize = 64 * 1024;
/// Dot lines that are recorded per message.
pub const DOT_LINES_MAX: usize = ringpost_engine::limits::DOT_LINES_STORED_MAX;
/// Depth of alias chains.
pub const ALIAS_DEPTH_MAX: usize = 8;
/// Accounts behind one recipient.
pub const ALIAS_ACCOUNTS_MAX: usize = 1_000;
/// Received fields after which a message goes in circles (rfc5321#6.3).
pub const RECEIVED_FIELDS_MAX: usize = 100;
/// Octets of messages being received that one shard holds in memory; beyond it no new one is begun.
pub const BUFFERED_MESSAGE_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Connections one shard serves.
pub const CONNECTIONS_PER_SHARD_MAX: usize = 100_000;
/// Connections of one client address on one shard; loopback is exempt.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 200;
/// Messages a shard's inbox holds; a sender whose message does not fit keeps it and tries again.
pub const INBOX_MESSAGES_MAX: usize = 4_096;
/// Password checks that may wait; beyond it a login gets a temporary refusal.
pub const VERIFY_QUEUE_MAX: usize = 1_024;
/// Octets received at once into a pooled buffer.
pub const RECEIVE_BYTES: usize = 64 * 1024;
/// Milliseconds for which a slot may be closed that goes to another shard; then it opens again where it is. What is
/// done meanwhile is the difference since it was copied: seconds, even for a mailbox of a million messages.
pub const SLOT_CLOSED_MS: u64 = 30_000;
/// Milliseconds that commands under way have to end before nothing more of their account changes.
pub const SLOT_QUIET_MS: u64 = 2_000;
/// Milliseconds that sessions have to end whose account went to another shard.
pub const SLOT_LINGER_MS: u64 = 10_000;
/// Addresses, aliases or removed messages that one step of a slot's move looks at.
pub const SLOT_LOOKS_MAX: usize = 8 * 1024;
/// Octets of a compressed message that one such step unfolds.
pub const SLOT_OCTETS_MAX: u32 = 128 * 1024;
/// Deliveries that wait until a slot is on one shard, and their octets; more are told to be tried later.
pub const SLOT_PARKED_MAX: usize = 1_000;
/// See [`SLOT_PARKED_MAX`].
pub const SLOT_PARKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Octets a second that a slot's move copies while the slot is served.
pub const SLOT_MOVE_BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;
/// Octets of messages that are brought to the other shard together, and one message more.
pub const SLOT_BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Pieces of accounts that are brought together.
pub const SLOT_BATCH_PIECES: usize = 16;
/// Messages of one slot that can change shards: their places take 32 bytes each meanwhile, 512 MiB.
pub const SLOT_BODIES_MAX: usize = 16 * 1024 * 1024;
/// How often a slot's move asks a shard that has no room, or that is not done with an earlier slot.
pub const SLOT_BUSY_TRIES: u32 = 300;
/// Milliseconds between two of these.
pub const SLOT_BUSY_WAIT_MS: u64 = 100;
/// Milliseconds between two lines that tell how far a slot's move is.
pub const SLOT_TELL_MS: u64 = 1_000;
/// Milliseconds of which the times of the disk are counted together.
pub const LATENCY_SLICE_MS: u64 = 10_000;
/// So many of these are told of: a minute.
pub const LATENCY_SLICES: usize = 6;
/// A disk is slow if half of its syncs, or of its reads, take so many milliseconds.
pub const DISK_SLOW_MS: u64 = 300;
/// So many slices in a row have to say so before it is told.
pub const DISK_SLOW_SLICES: u64 = 3;
/// Milliseconds between two lines that tell it.
pub const DISK_SLOW_LOG_MS: u64 = 10 * 60 * 1000;
/// Milliseconds between two ticks of a shard.
pub const TICK_MS: u64 = 100;
/// Milliseconds a client may leave its output untaken.
pub const SEND_STALL_MS: u64 = 120_000;
/// Milliseconds for a TLS handshake.
pub const TLS_HANDSHAKE_MS: u64 = 30_000;
/// Milliseconds a drain waits for sessions to finish.
pub const DRAIN_MS: u64 = 10_000;
/// Milliseconds a drain waits, after the sessions are gone, for what a full disk keeps from becoming durable.
pub const DRAIN_STORE_MS: u64 = 5_000;
/// Octets a client may pipeline behind an answer it waits for before the shard stops receiving from it.
pub const INPUT_HELD_BYTES_MAX: usize = 128 * 1024;
/// Put-off sessions that go on in one `Event::Turn`.
pub const TURN_SESSIONS_MAX: usize = 16;
/// Pieces of one `Effect::Send`; within what one gathered write takes (IOV_MAX is 1,024).
pub const SEND_PIECES_MAX: usize = 512;
/// Octets up to which small pieces of output are joined into one.
pub const JOIN_BYTES_MAX: usize = 16 * 1024;
/// Milliseconds another shard has to answer a question about an address or a login.
pub const PEER_ANSWER_MS: u64 = 20_000;
/// Milliseconds another shard has to store its part of a delivery (a sender waits ten minutes,
/// rfc5321#4.5.3.2.6).
pub const PEER_DELIVER_MS: u64 = 60_000;
/// Addresses looked up to resolve one recipient through aliases.
pub const ALIAS_LOOKUPS_MAX: usize = 2_000;
/// Accounts in one `AccountAddMany`, and entries in one listing.
pub const ADMIN_ENTRIES_MAX: usize = 10_000;
/// Octets of messages in one step of an import; a single message may be larger, as large as the store takes.
pub const IMPORT_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Messages in one step of an import.
pub const IMPORT_FRAME_MESSAGES_MAX: usize = 500;
/// Octets of the flags and unique-ids in one step of an import: with names and digits well within a request's line.
pub const IMPORT_FRAME_NAMES_BYTES_MAX: usize = 256 * 1024;
/// Ranges of UIDs in one step of an import.
pub const IMPORT_FRAME_RANGES_MAX: usize = 20_000;
/// Ranges of UIDs in each list of what a mailbox remembers of its imports: with digits within an annotation's value.
pub const IMPORT_MARK_RANGES_MAX: usize = 1_000;
/// Milliseconds after which a line in the log would repeat a refusal of the same kind.
pub const REFUSAL_LOG_MS: u64 = 10_000;
/// Entries of a ring's submission queue.
pub const RING_SUBMISSIONS: u32 = 4_096;
/// Entries of a ring's completion queue.
pub const RING_COMPLETIONS: u32 = 32_768;
/// Milliseconds that the operations of a ring have to complete when its shard ends.
pub const RING_END_MS: u64 = 5_000;
/// Turns of a shard in a row before the ring is looked after: tasks that keep each other busy without it would
/// leave every other connection's input and output lying.
pub const TURNS_WITHOUT_RING_MAX: u32 = 4;
/// Events handled before their effects are carried out.
pub const TURN_EVENTS_MAX: usize = 256;
/// Messages to one full inbox that a shard keeps; beyond it what can be refused is refused.
pub const OUTBOX_MESSAGES_MAX: usize = 4_096;
/// Milliseconds after which a full inbox is tried again.
pub const OUTBOX_RETRY_MS: u64 = 1;
/// Milliseconds that log lines gather before they are written together.
pub const LINES_GATHER_MS: u64 = 5;
/// Log lines that may wait for the sink; beyond it they are counted and dropped.
pub const LOG_LINES_MAX: usize = 8_192;
/// Receive buffers of one shard in use at once; whoever needs one more waits.
pub const RECEIVE_BUFFERS_MAX: usize = 256;
/// Octets up to which what was received is copied, so that its buffer is free at once.
pub const RECEIVE_COPY_BYTES_MAX: usize = 4 * 1024;
/// Receive buffers a shard keeps for the next receive.
pub const RECEIVE_BUFFERS_POOLED_MAX: usize = 64;
/// Bytes of an incomplete TLS record or handshake message (rfc8446#4 allows 16 MiB; nobody needs more than
/// this).
pub const TLS_INCOMING_BYTES_MAX: usize = 80 * 1024;
/// Ciphertext that is gathered before it is sent.
pub const TLS_SEND_BYTES: usize = 64 * 1024;
/// Octets of output that are deflated at once; the shard's one compressor serves every connection in turn.
pub const DEFLATE_STEP_BYTES: usize = 64 * 1024;
/// How hard output is deflated, 1 to 9: what a mailbox's list needs to get small, at little CPU.
pub const DEFLATE_LEVEL: i32 = 2;
/// Octets of input that are inflated before the shard gets to see them; a bomb unfolds no faster than that.
pub const INFLATE_STEP_BYTES: usize = 64 * 1024;
/// Octets of a client's past input that its compressor may refer to (rfc1951#2); kept as far as there were
/// any, a power of two.
pub const INFLATE_WINDOW_BYTES_MAX: usize = 32 * 1024;
/// Octets of that window to begin with.
pub const INFLATE_WINDOW_BYTES_MIN: usize = 512;
/// Pieces of output up to this size share a TLS record.
pub const TLS_JOIN_BYTES_MAX: usize = 2 * 1024;
/// Milliseconds a closed connection waits for its client's end, so that the last answer is not lost.
pub const LINGER_MS: u64 = 2_000;
/// Milliseconds without accepting after accepting failed (for want of descriptors, mostly).
pub const ACCEPT_BACKOFF_MS: u64 = 100;
/// Descriptors that clients do not get: for the logs' next segments, cold reads and administrators.
pub const DESCRIPTORS_RESERVED: u64 = 64;
/// Descriptors of a shard besides its listeners' and its clients': ring, bell, timers, segments.
pub const DESCRIPTORS_PER_SHARD: u64 = 16;
/// Descriptors for clients below which it is not worth starting.
pub const DESCRIPTORS_FOR_CLIENTS_MIN: u64 = 64;
/// Connections that may wait to be accepted, per listener and shard.
pub const LISTEN_BACKLOG: i32 = 4_096;
/// Milliseconds a control thread waits for a shard's answer.
pub const CONTROL_MS: u64 = 30_000;
/// Good password checks that are remembered.
pub const VERIFY_CACHE_ENTRIES_MAX: usize = 65_536;
/// Milliseconds for which one is remembered.
pub const VERIFY_CACHE_MS: u64 = 5 * 60 * 1_000;
/// Runs of the log that a shard remembers to have found in memory, until the next tick.
pub const RECENT_RUNS_MAX: usize = 32;
/// Bytes between two pieces of the log that are looked at together.
pub const RUN_GAP_BYTES_MAX: u64 = 256 * 1024;
/// Pages that one look at what is in memory covers.
pub const RESIDENT_PAGES_MAX: usize = 1024;
/// Bytes between two pieces of the log that one read brings in together.
pub const READ_GAP_BYTES_MAX: u64 = 32 * 1024;
/// Bytes of the log that are brought into memory before they are handed to a socket.
pub const SEND_WINDOW_BYTES: usize = 2 * 1024 * 1024;
/// Bytes that one read brings into memory.
pub const WARM_BYTES: usize = 256 * 1024;
/// Mapped files of which a page that cannot be read ends nobody; those beyond are mapped all the same.
pub const GUARDED_MAPPINGS_MAX: usize = 65_536;
/// Pages that could not be read and are known one by one; with more of them a whole file counts as such.
pub const BAD_PAGES_MAX: usize = 1_024;
/// Bytes of zeroes that one write puts into a new segment.
pub const CREATE_CHUNK_BYTES: usize = 1024 * 1024;
/// Clients let in before those who are in get their turn.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Bytes from which a freed block of memory goes back to the kernel at once; a password check frees 19 MiB.
pub const BLOCK_GIVEN_BACK_BYTES: i32 = 8 * 1024 * 1024;
/// Segments' worth of bytes a shard that stay free on the disk when mail is refused: for the segment of a start, for
/// checkpoints and for packs, without which deleting would free nothing.
pub const RESERVE_SEGMENTS: u64 = 2;
/// Messages that one look for those whose bytes are rotten goes through in a tick.
pub const ROT_LOOK_MESSAGES: usize = 4_096;
/// Messages that one step of the list of what is hidden goes through.
pub const DAMAGE_LOOK_MESSAGES: usize = 16_384;
/// Messages that are told of one place with rot.
pub const ROT_MESSAGES_TOLD_MAX: usize = 1_000;
/// Milliseconds for which a backup waits until a shard has sealed its segment; the next one may have to be made first.
pub const BACKUP_SEAL_MS: u64 = 60_000;
/// Milliseconds between two questions whether it has.
pub const BACKUP_POLL_MS: u64 = 5;
/// How often a backup begins again because files went away between the list and the link.
pub const BACKUP_ATTEMPTS_MAX: u32 = 10;
/// Files of one backup: as many as the list of them may name. At 128 MiB a segment, 128 TiB.
pub const BACKUP_FILES_MAX: usize = 1_000_000;
/// Bytes of a backup's manifest.
pub const BACKUP_MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of a small file (settings, certificate, keys) that a backup takes along.
pub const BACKUP_SMALL_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Files of checkpoints that a backup holds open, so that they can be copied though the server is done with them.
pub const BACKUP_OPEN_FILES_MAX: usize = 512;
/// Bytes at each end by which a copy is compared with what it is a copy of.
pub const BACKUP_COMPARED_BYTES: usize = 4 * 1024;
/// Names that are tried for a deleted mailbox that comes back while another has its name.
pub const RESTORED_NAMES_MAX: u32 = 100;
/// How often a mailbox is looked at anew in a row because it changed before messages were put back into it.
pub const RESTORE_ATTEMPTS_MAX: u32 = 100;
/// Mailboxes that an account which comes back is made with; further ones are made one by one.
pub const RESTORE_MAILBOXES_AT_ONCE: usize = 500;
/// Messages that `account restore --list` prints, unless told otherwise.
pub const RESTORE_LISTED: usize = 1_000;
