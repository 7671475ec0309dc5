//! Text under transfer encodings, charsets and folding: pieces give what the whole gives, and a search finds
//! exactly what stands in the decoded text.

use ringpost::proto::mime::charset::{self, TextDecoder};
use ringpost::proto::mime::decode::{Base64Size, Decoder};
use ringpost::proto::mime::{Scope, contains_text, fold, header, summarise, words};
use ringpost_engine::layout::{Needle, Part, PartKind, SummaryView, TransferEncoding};

/// The needle, a line, then a message.
pub fn run(octets: &[u8]) {
    pieces(octets);
    words_end(octets);
    let at = octets.iter().position(|&octet| octet == b'\n').unwrap_or(0);
    let (needle, message) = octets.split_at(at);
    let message = message.get(1..).unwrap_or_default();
    let needle = folded(&String::from_utf8_lossy(needle));
    let encoded = summarise(message).encode();
    let view = SummaryView::new(&encoded).expect("what was encoded is read");
    let filter = view.filter();
    for scope in [Scope::Body, Scope::Text] {
        let found = contains_text(message, &view, &needle, scope);
        assert!(!found || filter.might_contain(&Needle::new(&needle)), "the filter hides {needle:?}");
        // Over fields the naive search knows less (file names): what it finds must be found.
        let naive = needle.is_empty()
            || view.parts().into_iter().any(|part| stands_in(message, &part, &needle, scope));
        assert!(found || !naive, "{needle:?} in {scope:?}");
        if scope == Scope::Body && found {
            assert!(
                naive || view.parts().into_iter().any(|part| part.kind == PartKind::Message),
                "{needle:?}"
            );
        }
    }
    // What stands there is found, wherever it is cut out.
    for part in view.parts().into_iter().filter(|part| part.kind == PartKind::Text) {
        let text: Vec<char> = text_of(message, &part).chars().collect();
        for length in [1, 2, 3, 7, 40] {
            let at = octets.len() * 31 % (text.len() + 1);
            let cut: String = text.iter().skip(at).take(length).collect();
            assert!(contains_text(message, &view, &cut, Scope::Body), "{cut:?}");
            assert!(filter.might_contain(&Needle::new(&cut)), "the filter hides {cut:?}");
        }
    }
}

/// Decoders give the same however their input is cut.
fn pieces(octets: &[u8]) {
    for encoding in [TransferEncoding::Identity, TransferEncoding::Base64, TransferEncoding::QuotedPrintable]
    {
        assert_eq!(transferred(octets, encoding, 1), transferred(octets, encoding, octets.len().max(1)));
    }
    let mut size = Base64Size::default();
    let mut rest = octets;
    while !rest.is_empty() {
        rest = &rest[size.push(rest)..];
    }
    assert_eq!(size.finish(), transferred(octets, TransferEncoding::Base64, octets.len().max(1)).len());
    for name in [&b"utf-8"[..], b"iso-2022-jp", b"gb18030", b"utf-16", b"windows-1252", b"nonsense"] {
        let (mut whole, mut cut) = (String::new(), String::new());
        TextDecoder::new(name).push(octets, true, &mut whole);
        let mut decoder = TextDecoder::new(name);
        octets.iter().for_each(|octet| decoder.push(&[*octet], false, &mut cut));
        decoder.push(b"", true, &mut cut);
        assert_eq!(cut, whole);
        charset::decode(octets, name);
    }
}

fn transferred(octets: &[u8], encoding: TransferEncoding, size: usize) -> Vec<u8> {
    let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
    octets.chunks(size).for_each(|chunk| decoder.push(chunk, &mut out));
    decoder.finish(&mut out);
    out
}

/// The folded text, which is its folded pieces: what a search takes for granted wherever it cuts. (Folded twice it
/// may be something else: one letter's two in title case are two letters then.)
fn folded(text: &str) -> String {
    let whole = fold(text);
    let pieces: String = text.chars().map(|character| fold(character.encode_utf8(&mut [0; 4]))).collect();
    assert_eq!(pieces, whole);
    whole
}

/// Encoded words end, and plain ASCII without them is itself.
fn words_end(octets: &[u8]) {
    let text = words::decode_words(octets);
    if octets.iter().all(u8::is_ascii) && !octets.windows(2).any(|pair| pair == b"=?") {
        assert_eq!(text.as_bytes(), octets);
    }
}

/// Whether the folded text of this part, decoded at once, contains the needle.
fn stands_in(message: &[u8], part: &Part, needle: &str, scope: Scope) -> bool {
    let slice = |start: u32, end: u32| &message[start as usize..end as usize];
    let in_fields = |fields: &[u8]| {
        header::fields(fields)
            .any(|field| fold(&words::decode_words(&header::unfold(field.value))).contains(needle))
    };
    if scope == Scope::Text && in_fields(slice(part.header_start, part.body_start)) {
        return true;
    }
    match part.kind {
        PartKind::Text => text_of(message, part).contains(needle),
        PartKind::Message => in_fields(slice(part.body_start, part.nested_text_start)),
        PartKind::Multipart | PartKind::Other => false,
    }
}

/// A text part, decoded at once and folded.
fn text_of(message: &[u8], part: &Part) -> String {
    let body = &message[part.body_start as usize..part.body_end as usize];
    let mut text = String::new();
    let octets = transferred(body, part.encoding, body.len().max(1));
    TextDecoder::new(part.charset.as_bytes()).push(&octets, true, &mut text);
    fold(&text)
}
