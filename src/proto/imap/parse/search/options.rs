//! Result options of searching commands.
//!
//! *Owns*: the list behind `RETURN`, and `partial-range`. *Promises*: what `parse` promises; no option that
//! excludes another stands beside it. *Assumes*: nothing. *Never*: decides what a command may return.

use crate::proto::imap::command::{PartialRange, SearchReturn};
use crate::proto::imap::parse::lexer::Lexer;
use crate::proto::imap::parse::{Fault, Parsed};

/// `RETURN (…)` and the space behind it, if it is there.
pub fn returns(lexer: &mut Lexer) -> Parsed<Option<SearchReturn>> {
    if !lexer.eat_keyword("RETURN") {
        return Ok(None);
    }
    let mut returns = SearchReturn::default();
    // rfc5267#4.2: a hint, which asks for nothing.
    let mut context = false;
    lexer.list(|lexer| {
        let chosen = match lexer.keyword().as_str() {
            "MIN" => &mut returns.min,
            "MAX" => &mut returns.max,
            "ALL" => &mut returns.all,
            "COUNT" => &mut returns.count,
            "SAVE" => &mut returns.save,
            "CONTEXT" => &mut context,
            "UPDATE" => &mut returns.update,
            "RELEVANCY" => &mut returns.relevancy,
            "PARTIAL" if returns.partial.is_none() => {
                lexer.space()?;
                returns.partial = Some(partial_range(lexer)?);
                return Ok(());
            }
            _ => return Err(Fault::Bad("Unknown SEARCH return option")),
        };
        *chosen = true;
        Ok(())
    })?;
    lexer.space()?;
    if returns.all && returns.partial.is_some() {
        // rfc9394#3.1
        return Err(Fault::Bad("PARTIAL and ALL exclude each other"));
    }
    // rfc4731#3.1: an empty list means ALL.
    returns.all |= !context && returns == SearchReturn::default();
    Ok(Some(returns))
}

/// `partial-range` (rfc9394#4): both ends are counted from the same side.
pub fn partial_range(lexer: &mut Lexer) -> Parsed<PartialRange> {
    let from_last = lexer.eat(b'-');
    let one = lexer.nz_number()?;
    lexer.expect(b':', "PARTIAL takes a range")?;
    if from_last {
        lexer.expect(b'-', "Both ends of a PARTIAL range are counted from the same side")?;
    }
    Ok(PartialRange { one, other: lexer.nz_number()?, from_last })
}
