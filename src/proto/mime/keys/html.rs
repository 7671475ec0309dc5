//! HTML to the text that a reader sees first.
//!
//! *Owns*: tags, comments and entities, as far as a preview needs them. *Promises*: any text in any pieces, one
//! pass, memory within `TAG_BYTES_MAX`. *Assumes*: nothing is well formed. *Never*: lays out, runs, fetches.
//!
//! ```text
//!            <           >                        ;
//!   Text ───────► Tag ───────► Text     Text ─& … ───► Text
//!                  │ style, script, head, title: their content is dropped up to the closing tag
//!                  └ !-- ─► Comment ─ --> ─► Text
//! ```

/// Characters of a tag or entity that are looked at.
const TAG_BYTES_MAX: usize = 64;
const ENTITY_BYTES_MAX: usize = 10;

/// Takes HTML in pieces, gives its text.
#[derive(Debug, Default)]
pub(super) struct HtmlText {
    state: State,
    /// The start of the tag or entity being read.
    name: String,
    /// The element whose content is dropped.
    dropped: Option<&'static str>,
    /// Open quoting elements.
    quotes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Tag,
    /// With the dashes seen in a row.
    Comment(u8),
    Entity,
}

/// Elements whose content nobody reads.
const DROPPED: [&str; 4] = ["style", "script", "head", "title"];
/// Elements that do not part words.
const INLINE: [&str; 18] = [
    "a", "abbr", "b", "bdi", "bdo", "em", "font", "i", "ins", "mark", "s", "small", "span", "strong", "sub",
    "sup", "u", "wbr",
];

impl HtmlText {
    /// Calls `text` for each character of text, and whether it stands in a quote.
    pub fn push(&mut self, html: &str, mut text: impl FnMut(char, bool)) {
        for character in html.chars() {
            match self.state {
                State::Text => self.in_text(character, &mut text),
                State::Tag => self.in_tag(character, &mut text),
                State::Comment(dashes) => {
                    self.state = match character {
                        '-' => State::Comment(dashes.saturating_add(1)),
                        '>' if dashes >= 2 => State::Text,
                        _ => State::Comment(0),
                    };
                }
                State::Entity => self.in_entity(character, &mut text),
            }
        }
    }

    fn in_text(&mut self, character: char, text: &mut impl FnMut(char, bool)) {
        match character {
            '<' => (self.state, self.name) = (State::Tag, String::new()),
            _ if self.dropped.is_some() => {}
            '&' => (self.state, self.name) = (State::Entity, String::new()),
            _ => text(character, self.quotes > 0),
        }
    }

    fn in_tag(&mut self, character: char, text: &mut impl FnMut(char, bool)) {
        if character == '>' {
            self.state = State::Text;
            self.end_tag(text);
        } else if self.name.is_empty() && !(character.is_ascii_alphabetic() || "/!?".contains(character)) {
            // `a < b` is no tag.
            self.state = State::Text;
            if self.dropped.is_none() {
                text('<', self.quotes > 0);
            }
            self.in_text(character, text);
        } else if character == '<' && self.dropped.is_some() {
            // A script's `a<b`: the tag that counts begins here.
            self.name.clear();
        } else if self.name.len() < TAG_BYTES_MAX {
            self.name.push(character.to_ascii_lowercase());
            if self.name == "!--" {
                self.state = State::Comment(0);
            }
        }
    }

    fn end_tag(&mut self, text: &mut impl FnMut(char, bool)) {
        let closes = self.name.starts_with('/');
        let name = self.name.trim_start_matches('/');
        let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if let Some(dropped) = self.dropped {
            if closes && name == dropped {
                self.dropped = None;
            }
            return;
        }
        if !closes && !self.name.ends_with('/') {
            self.dropped = DROPPED.into_iter().find(|dropped| *dropped == name);
        }
        if name == "blockquote" {
            self.quotes = if closes { self.quotes.saturating_sub(1) } else { self.quotes.saturating_add(1) };
        }
        if !INLINE.contains(&name) {
            text('\n', self.quotes > 0);
        }
    }

    fn in_entity(&mut self, character: char, text: &mut impl FnMut(char, bool)) {
        let belongs = character.is_ascii_alphanumeric() || (character == '#' && self.name.is_empty());
        if belongs && self.name.len() < ENTITY_BYTES_MAX {
            return self.name.push(character);
        }
        self.state = State::Text;
        let quoted = self.quotes > 0;
        match entity(&self.name) {
            Some(meant) => text(meant, quoted),
            None => std::iter::once('&').chain(self.name.chars()).for_each(|c| text(c, quoted)),
        }
        if character != ';' || entity(&self.name).is_none() {
            self.in_text(character, text);
        }
    }
}

/// What an entity stands for, by number or as one of the names that mail uses.
fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hex = number.strip_prefix(['x', 'X']).map(|digits| u32::from_str_radix(digits, 16));
        let code = hex.unwrap_or_else(|| number.parse()).ok()?;
        return char::from_u32(code).filter(|c| !c.is_control() || c.is_whitespace());
    }
    const NAMED: [(&str, char); 34] = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("nbsp", '\u{a0}'),
        ("zwnj", '\u{200c}'),
        ("zwj", '\u{200d}'),
        ("shy", '\u{ad}'),
        ("ndash", '\u{2013}'),
        ("mdash", '\u{2014}'),
        ("lsquo", '\u{2018}'),
        ("rsquo", '\u{2019}'),
        ("sbquo", '\u{201a}'),
        ("ldquo", '\u{201c}'),
        ("rdquo", '\u{201d}'),
        ("bdquo", '\u{201e}'),
        ("laquo", '\u{ab}'),
        ("raquo", '\u{bb}'),
        ("hellip", '\u{2026}'),
        ("bull", '\u{2022}'),
        ("middot", '\u{b7}'),
        ("euro", '\u{20ac}'),
        ("pound", '\u{a3}'),
        ("copy", '\u{a9}'),
        ("reg", '\u{ae}'),
        ("trade", '\u{2122}'),
        ("auml", '\u{e4}'),
        ("ouml", '\u{f6}'),
        ("uuml", '\u{fc}'),
        ("szlig", '\u{df}'),
        ("eacute", '\u{e9}'),
        ("egrave", '\u{e8}'),
        ("agrave", '\u{e0}'),
    ];
    NAMED.iter().find(|(known, _)| *known == name).map(|&(_, meant)| meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        let mut whole = String::new();
        HtmlText::default().push(html, |c, _| whole.push(c));
        let mut pieces = String::new();
        let mut reader = HtmlText::default();
        for character in html.chars() {
            reader.push(character.encode_utf8(&mut [0; 4]), |c, _| pieces.push(c));
        }
        assert_eq!(whole, pieces);
        whole
    }

    #[test]
    fn tags_comments_and_hidden_elements_go() {
        assert_eq!(text("a<b>b</b>c<br/>d<!-- > -- e -->f"), "abc\ndf");
        assert_eq!(
            text("<head><title>t</title></head><style type=x>p{}</style>x<script>a<b</script>y"),
            "\n\nx\ny"
        );
        assert_eq!(text("1 < 2 <3 & 4"), "1 < 2 <3 & 4");
        assert_eq!(text("<p class=\"x\">a</p><DIV>b</DIV>"), "\na\n\nb\n");
    }

    #[test]
    fn entities_are_what_they_stand_for() {
        assert_eq!(text("&lt;&amp;&#65;&#x42;&unknown;&euro"), "<&AB&unknown;");
        assert_eq!(text("&#0;&#xd800;&#99999999;a"), "&#0;&#xd800;&#99999999;a");
        assert_eq!(text("a&amp b"), "a& b");
    }

    #[test]
    fn quotes_are_told() {
        let mut quoted = String::new();
        HtmlText::default().push("a<blockquote>b<i>c</i></blockquote>d", |c, q| {
            if q {
                quoted.push(c);
            }
        });
        assert_eq!(quoted.trim(), "bc");
    }

    #[test]
    fn damage_is_bounded() {
        let mut reader = HtmlText::default();
        reader.push(&format!("<{}", "x".repeat(100_000)), |_, _| {});
        assert!(reader.name.len() <= TAG_BYTES_MAX);
        text(&"<".repeat(10_000));
        text(&"&".repeat(10_000));
    }
}
