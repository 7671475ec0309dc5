//! Mail for tests, by seed.
//!
//! *Owns*: mails whose texts are known, in many charsets and encodings, and octets that look like mail.
//! *Promises*: the same for the same seed. *Assumes*: nothing. *Never*: runs outside tests.

use base64::Engine;

/// A small generator, the same numbers every time. The seed is not 0.
pub(super) struct Seeded(pub u64);

impl Seeded {
    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// Octets made of the pieces that mail is made of.
pub(super) fn broken_message(seeded: &mut Seeded) -> Vec<u8> {
    const PIECES: [&[u8]; 34] = [
        b"Content-Type: ",
        b"multipart/mixed",
        b"multipart/digest",
        b"message/rfc822",
        b"text/plain",
        b"text/html",
        b"; boundary=a",
        b"; boundary=\"a b\"",
        b"; charset=koi8-r",
        b"; charset=utf-16",
        b"\r\n",
        b"\r\n\r\n",
        b"\r\n ",
        b"\n",
        b"\r",
        b"\0",
        b"\xfc",
        b"--a\r\n",
        b"--a b\r\n",
        b"--a--\r\n",
        b"From: ",
        b"a@b",
        b"<",
        b">",
        b"\"",
        b"(",
        b"\\",
        b": ;,@",
        b"=?utf-8?q?=C3?=",
        b"=?utf-8?b?w7w=?=",
        b"Content-Disposition: a; b*0*=c''%41",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"QUJD=\r\nREVG",
    ];
    let mut message = Vec::new();
    for _ in 0..seeded.below(60) {
        match seeded.below(8) {
            0 => message.push(seeded.below(256) as u8),
            _ => message.extend_from_slice(seeded.pick(&PIECES)),
        }
    }
    message
}

/// A mail and the texts that a reader sees in it.
pub(super) struct Mail {
    /// As it is stored.
    pub octets: Vec<u8>,
    /// Subject, file name, bodies.
    pub texts: Vec<String>,
}

const WORDS: [&str; 16] = [
    "kleine",
    "Gr\u{fc}\u{df}e",
    "report",
    "\u{41c}\u{438}\u{440}",
    "\u{434}\u{432}\u{435}\u{440}\u{44c}",
    "\u{6771}\u{4eac}\u{90fd}",
    "\u{3053}\u{3093}\u{306b}\u{3061}\u{306f}",
    "\u{c548}\u{b155}",
    "caf\u{e9}",
    "na\u{ef}ve",
    "\u{395}\u{3bb}\u{3bb}\u{3ac}\u{3b4}\u{3b1}",
    "=quoted=",
    "a_b?c",
    "100%",
    "\u{f1}and\u{fa}",
    "x",
];

/// Charsets and which of the words they can write.
const CHARSETS: [(&str, &[usize]); 10] = [
    ("utf-8", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    ("iso-8859-1", &[0, 1, 2, 8, 9, 11, 12, 13, 14, 15]),
    ("windows-1252", &[0, 1, 2, 8, 9, 11, 12, 13, 14, 15]),
    ("koi8-r", &[0, 2, 3, 4, 11, 12, 13, 15]),
    ("iso-8859-7", &[0, 2, 10, 11, 12, 13, 15]),
    ("shift_jis", &[0, 2, 5, 6, 11, 12, 13, 15]),
    ("iso-2022-jp", &[0, 2, 5, 6, 11, 12, 13, 15]),
    ("euc-kr", &[0, 2, 7, 11, 12, 13, 15]),
    ("gb18030", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    ("big5", &[0, 2, 5, 11, 12, 13, 15]),
];

/// A mail with a subject, one to three text parts and perhaps a file name.
pub(super) fn mail(seeded: &mut Seeded) -> Mail {
    let subject = sentence(seeded, 0, 8).0;
    let mut texts = vec![format!("Subject: {subject}")];
    let mut octets = b"From: a@b\r\nSubject: ".to_vec();
    octets.extend(encoded_words(seeded, &subject));
    octets.extend_from_slice(b"\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\npreamble\r\n");
    for part in 0..1 + seeded.below(3) {
        let charset = seeded.below(CHARSETS.len());
        let words = 1 + seeded.below(if part == 2 { 400 } else { 30 });
        let (text, written) = sentence(seeded, charset, words);
        let (encoding, body) = transfer(seeded, &written);
        octets.extend(
            format!(
                "--=_b\r\nContent-Type: text/plain; charset={}\r\nContent-Transfer-Encoding: {encoding}\r\n",
                CHARSETS[charset].0
            )
            .bytes(),
        );
        if seeded.below(3) == 0 {
            octets.extend_from_slice(b"Content-Disposition: attachment; filename*=utf-8''");
            octets.extend(text.bytes().take(60).flat_map(|octet| format!("%{octet:02X}").into_bytes()));
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(b"\r\n");
        octets.extend(body);
        octets.extend_from_slice(b"\r\n");
        texts.push(text);
    }
    octets.extend_from_slice(b"--=_b--\r\nepilogue\r\n");
    Mail { octets, texts }
}

/// Words, and the same in a charset.
fn sentence(seeded: &mut Seeded, charset: usize, words: usize) -> (String, Vec<u8>) {
    let (name, known) = CHARSETS[charset];
    let list: Vec<&str> = (0..words).map(|_| WORDS[known[seeded.below(known.len())]]).collect();
    let text = list.join(" ");
    let charset = encoding_rs::Encoding::for_label(name.as_bytes()).expect("a charset of the list");
    let (octets, _, bad) = charset.encode(&text);
    assert!(!bad, "{text} in {name}");
    (text.clone(), octets.into_owned())
}

/// One of the transfer encodings, with line breaks wherever they may be.
fn transfer(seeded: &mut Seeded, octets: &[u8]) -> (&'static str, Vec<u8>) {
    let mut body = Vec::new();
    match seeded.below(3) {
        0 => ("8bit", octets.to_vec()),
        1 => {
            let digits = base64::engine::general_purpose::STANDARD.encode(octets);
            for line in digits.as_bytes().chunks(1 + seeded.below(80)) {
                body.extend_from_slice(line);
                body.extend_from_slice(b"\r\n");
            }
            ("base64", body)
        }
        _ => {
            for (at, &octet) in octets.iter().enumerate() {
                if seeded.below(20) == 0 {
                    body.extend_from_slice(b"=\r\n");
                }
                let is_last = at + 1 == octets.len();
                match octet {
                    b'!'..=b'<' | b'>'..=b'~' => body.push(octet),
                    b' ' if !is_last && seeded.below(2) == 0 && octets[at + 1] != b'\r' => {
                        // White space before a soft break would be the transport's.
                        body.extend_from_slice(b"=20");
                    }
                    _ => body.extend(format!("={octet:02X}").bytes()),
                }
            }
            ("quoted-printable", body)
        }
    }
}

/// A field's text as encoded words, folded, cut within characters now and then.
fn encoded_words(seeded: &mut Seeded, text: &str) -> Vec<u8> {
    let mut value = Vec::new();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + seeded.below(20)));
        if !value.is_empty() {
            value.extend_from_slice(seeded.pick(&[&b"\r\n "[..], b" ", b"\r\n\t "]));
        }
        if seeded.below(2) == 0 {
            let digits = base64::engine::general_purpose::STANDARD.encode(piece);
            value.extend(format!("=?utf-8?B?{digits}?=").bytes());
        } else {
            let hex: String = piece.iter().map(|octet| format!("={octet:02X}")).collect();
            value.extend(format!("=?UTF-8?q?{hex}?=").bytes());
        }
        rest = after;
    }
    value
}
