//! What a client who has logged in sends is answered the same in any chunking, while another client watches.

use ringpost::proto::Service;

use super::mails::world;
use super::world::World;

/// The client that says the octets, and the one that watches.
const TALKER: u64 = 1;
const WATCHER: u64 = 2;
/// Nothing that libFuzzer may say here (4 KiB, unless told otherwise) deserves more of an answer.
const HEARD_OCTETS_MAX: usize = 64 * 1024 * 1024;
/// The other chunking has about so many pieces, and one more for each line.
const PIECES_MAX: usize = 100;
const MESSAGES: [&[u8]; 3] = [
    b"From: Ann <ann@example.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
      Message-ID: <1@example.test>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n\
      --b\r\nContent-Type: image/png; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n",
    b"From: bob@example.test\r\nSubject: Re: two\r\nIn-Reply-To: <1@example.test>\r\n\r\n.\r\ntwo\r\n",
    b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nthree\r\n",
];

/// Lines of commands. An octet of 0xff where a line would begin stands for something else that happens: the
/// octet after it says what.
pub fn run(octets: &[u8]) {
    let folded = octets.to_ascii_lowercase();
    let says = |word: &[u8]| folded.windows(word.len()).any(|octets| octets == word);
    if says(b"starttls") || says(b"compress") {
        // The chunking decides what came before the change of layer.
        return;
    }
    // A SELECT claims \Recent, and the claim has a mod-sequence: another SELECT behind it in one piece comes
    // before the claim is durable, and what is recent then is open (rfc3501#2.3.2).
    let by_lines = says(b"select");
    // A piece costs a turn, which costs more than its octets: what is long is cut into longer pieces.
    let small = 1 + octets.len() / PIECES_MAX;
    let cuts = [Cut { by_lines, size: usize::MAX }, Cut { by_lines, size: small }];
    let [expected, found] = cuts.map(|cut| heard(octets, &cut));
    for (one, other) in expected.iter().zip(&found) {
        assert_eq!(other, one);
    }
    assert_eq!(found.len(), expected.len());
}

/// How the talker's octets arrive: line by line or not, and in pieces of at most so many octets.
struct Cut {
    by_lines: bool,
    size: usize,
}

impl Cut {
    fn pieces<'a>(&self, said: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let (by_lines, size) = (self.by_lines, self.size);
        said.split_inclusive(move |&octet| by_lines && octet == b'\n').flat_map(move |run| run.chunks(size))
    }
}

/// The lines that both clients hear.
fn heard(octets: &[u8], cut: &Cut) -> Vec<String> {
    let mut world = world();
    MESSAGES.iter().for_each(|message| world.deliver("alice@example.test", message));
    for conn in [TALKER, WATCHER] {
        world.connect(conn, Service::Imap, true);
        world.receive(conn, b"l LOGIN alice@example.test secret\r\nl SELECT INBOX\r\n");
    }
    world.receive(WATCHER, b"w IDLE\r\n");
    let mut rest = octets;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\n\xff").map_or(rest.len(), |at| at + 1);
        let (said, after) = rest.split_at(end);
        cut.pieces(said).for_each(|piece| world.receive(TALKER, piece));
        rest = happens(after, &mut world);
    }
    world.receive(WATCHER, b"DONE\r\nw NOOP\r\nw UID FETCH 1:* (FLAGS)\r\nw LOGOUT\r\n");
    assert!(world.is_closed(WATCHER), "who takes leave is let go");
    world.hang_up(TALKER);
    let octets_heard: usize = world.all_heard().values().map(Vec::len).sum();
    assert!(octets_heard < HEARD_OCTETS_MAX, "{octets_heard} octets for {} said", octets.len());
    world.into_heard().into_values().flat_map(lines).collect()
}

fn lines(heard: Vec<u8>) -> Vec<String> {
    String::from_utf8_lossy(&heard).lines().map(str::to_owned).collect()
}

/// Something that is not the client's doing. Returns what follows.
fn happens<'a>(octets: &'a [u8], world: &mut World) -> &'a [u8] {
    match octets {
        [0xff, b'd', rest @ ..] => {
            world.deliver("alice@example.test", MESSAGES[1]);
            rest
        }
        [0xff, b'w', rest @ ..] => {
            world.wait(60_000);
            rest
        }
        [0xff, b's', rest @ ..] => {
            world.receive(WATCHER, b"DONE\r\nw STORE 1:* +FLAGS (\\Deleted x)\r\nw EXPUNGE\r\nw IDLE\r\n");
            rest
        }
        [0xff, b'h', rest @ ..] => {
            world.hide("alice@example.test", &["QRESYNC"]);
            rest
        }
        [0xff, b'q', rest @ ..] => {
            world.drain();
            rest
        }
        [0xff, rest @ ..] => rest,
        rest => rest,
    }
}
