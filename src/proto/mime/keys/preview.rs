//! PREVIEW (rfc8970): the first words of a message.
//!
//! *Owns*: what of a text is worth showing. *Promises*: at most `MIME_PREVIEW_CHARACTERS_MAX` characters, no line
//! ends, no control characters, no runs of white space; the same for any cut of the text; looks at no more than
//! `MIME_PREVIEW_LOOK_BYTES_MAX` octets of it. *Assumes*: decoded text. *Never*: tells more than the text does.

use super::html::HtmlText;
use crate::limits::{MIME_PREVIEW_CHARACTERS_MAX, MIME_PREVIEW_LOOK_BYTES_MAX};

/// Octets that are looked at before it is asked whether that was enough; more than a character has.
const LOOK_BYTES: usize = 128;

/// Makes a preview of a text that comes in pieces.
#[derive(Debug)]
pub(crate) struct PreviewBuilder {
    html: Option<HtmlText>,
    lines: Lines,
    looked: usize,
}

impl PreviewBuilder {
    /// Of HTML or of plain text.
    pub fn new(is_html: bool) -> PreviewBuilder {
        PreviewBuilder { html: is_html.then(HtmlText::default), lines: Lines::default(), looked: 0 }
    }

    /// Takes the next piece.
    pub fn push(&mut self, text: &str) {
        if self.is_done() {
            return;
        }
        let mut end = text.len().min(MIME_PREVIEW_LOOK_BYTES_MAX - self.looked);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        // A character that does not fit is as good as the bound.
        self.looked = if end < text.len() { MIME_PREVIEW_LOOK_BYTES_MAX } else { self.looked + end };
        let mut rest = &text[..end];
        while !rest.is_empty() && !self.lines.is_done() {
            // A little at a time: mostly the first words are enough.
            let mut len = rest.len().min(LOOK_BYTES);
            while !rest.is_char_boundary(len) {
                len -= 1;
            }
            let (piece, after) = rest.split_at(len);
            rest = after;
            let lines = &mut self.lines;
            match &mut self.html {
                Some(html) => html.push(piece, |character, quoted| lines.push(character, quoted)),
                None => lines.push_plain(piece),
            }
        }
    }

    /// Whether more text would change nothing.
    pub fn is_done(&self) -> bool {
        self.lines.is_done() || self.looked >= MIME_PREVIEW_LOOK_BYTES_MAX
    }

    /// The preview: what the writer wrote, or what was quoted where that is all there is.
    pub fn finish(mut self) -> String {
        self.lines.end_line();
        let Lines { own, quoted, .. } = self.lines;
        if own.text.is_empty() { quoted.text } else { own.text }
    }
}

/// Sorts lines by who wrote them.
#[derive(Debug, Default)]
struct Lines {
    own: Words,
    quoted: Words,
    line: LineKind,
    /// `-- ` was seen: what follows is the signature (rfc3676#4.3).
    signature: bool,
}

/// What is known of the line under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LineKind {
    /// Nothing but white space so far.
    #[default]
    Blank,
    /// Dashes and a space so far: `-`, `--`, `-- `.
    Dashes(u8),
    /// Written.
    Own,
    /// Begins with `>`.
    Quoted,
}

impl Lines {
    fn is_done(&self) -> bool {
        self.own.is_full() || self.signature
    }

    /// [`Lines::push`] of all characters of a text that is not quoted as a whole: words of ASCII at once.
    fn push_plain(&mut self, text: &str) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let is_own = self.line == LineKind::Own && !self.signature;
            let run = if is_own { rest.bytes().take_while(u8::is_ascii_graphic).count() } else { 0 };
            if run > 0 {
                self.own.push_run(&rest[..run]);
                rest = &rest[run..];
            } else {
                self.push(first, false);
                rest = &rest[first.len_utf8()..];
            }
        }
    }

    fn push(&mut self, character: char, quoted: bool) {
        if self.signature {
            return;
        }
        if matches!(character, '\n' | '\r') {
            return self.end_line();
        }
        if quoted {
            return self.quoted.push(character);
        }
        self.line = match (self.line, character) {
            (LineKind::Blank, '>') => LineKind::Quoted,
            (LineKind::Blank, '-') => LineKind::Dashes(1),
            (LineKind::Blank, space) if space.is_whitespace() => LineKind::Blank,
            (LineKind::Dashes(1), '-') => LineKind::Dashes(2),
            (LineKind::Dashes(2), ' ') => LineKind::Dashes(3),
            (LineKind::Dashes(_), _) => {
                self.let_dashes_go();
                LineKind::Own
            }
            (LineKind::Blank, _) => LineKind::Own,
            (known, _) => known,
        };
        match self.line {
            LineKind::Own => self.own.push(character),
            LineKind::Quoted if character != '>' => self.quoted.push(character),
            _ => {}
        }
    }

    /// The dashes were no separator.
    fn let_dashes_go(&mut self) {
        if let LineKind::Dashes(seen) = self.line {
            "-- ".chars().take(usize::from(seen)).for_each(|character| self.own.push(character));
        }
    }

    fn end_line(&mut self) {
        match self.line {
            LineKind::Dashes(3) => self.signature = true,
            LineKind::Dashes(_) => self.let_dashes_go(),
            _ => {}
        }
        self.own.push(' ');
        self.quoted.push(' ');
        self.line = LineKind::Blank;
    }
}

/// Words with single spaces between them.
#[derive(Debug, Default)]
struct Words {
    text: String,
    characters: usize,
    spaced: bool,
}

impl Words {
    fn is_full(&self) -> bool {
        self.characters >= MIME_PREVIEW_CHARACTERS_MAX
    }

    /// [`Words::push`] of a run of graphic ASCII characters.
    fn push_run(&mut self, run: &str) {
        let Some(first) = run.chars().next() else { return };
        self.push(first);
        let room = MIME_PREVIEW_CHARACTERS_MAX.saturating_sub(self.characters);
        let rest = &run[1..];
        let rest = &rest[..rest.len().min(room)];
        self.text.push_str(rest);
        self.characters += rest.len();
    }

    fn push(&mut self, character: char) {
        if character.is_whitespace() {
            self.spaced = true;
            return;
        }
        if is_invisible(character) || self.is_full() {
            return;
        }
        if self.text.is_empty() {
            self.text.reserve(MIME_PREVIEW_CHARACTERS_MAX);
        } else if self.spaced {
            // A space alone would be the last character.
            if self.characters + 1 == MIME_PREVIEW_CHARACTERS_MAX {
                self.characters += 1;
                return;
            }
            self.text.push(' ');
            self.characters += 1;
        }
        self.spaced = false;
        self.text.push(character);
        self.characters += 1;
    }
}

/// Characters that only fill: senders pad the first line of newsletters with them.
fn is_invisible(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffc}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(is_html: bool, text: &str) -> String {
        let mut whole = PreviewBuilder::new(is_html);
        whole.push(text);
        let whole = whole.finish();
        let mut pieces = PreviewBuilder::new(is_html);
        for character in text.chars() {
            pieces.push(character.encode_utf8(&mut [0; 4]));
        }
        assert_eq!(pieces.finish(), whole);
        whole
    }

    #[test]
    fn plain_text_loses_white_space_quotes_and_signature() {
        assert_eq!(preview(false, "Hello\r\n  there\t\r\n\r\nyou\u{a0}all"), "Hello there you all");
        assert_eq!(preview(false, "> old\r\n>> older\r\nnew\r\n-- \r\nsig"), "new");
        assert_eq!(preview(false, "> only\r\n> quoted\r\n"), "only quoted");
        assert_eq!(preview(false, "-- dash\r\n--\r\n--x -\r\n-"), "-- dash -- --x - -");
        assert_eq!(preview(false, " \r\n\u{200b}\u{feff}\r\n"), "");
    }

    #[test]
    fn html_is_shown_as_text() {
        assert_eq!(
            preview(
                true,
                "<html><head><title>T</title></head><body><p>a&nbsp;b</p>c<blockquote>q</blockquote>"
            ),
            "a b c"
        );
    }

    #[test]
    fn two_hundred_characters_are_the_most() {
        let long = "\u{6771}".repeat(1_000);
        assert_eq!(preview(false, &long).chars().count(), MIME_PREVIEW_CHARACTERS_MAX);
        let words = preview(false, &"ab ".repeat(1_000));
        assert!(words.chars().count() <= MIME_PREVIEW_CHARACTERS_MAX && words.ends_with('b'), "{words}");
        let far = format!("{}x", " ".repeat(MIME_PREVIEW_LOOK_BYTES_MAX));
        assert_eq!(preview(false, &far), "");
    }
}
