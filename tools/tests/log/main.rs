//! The tool on real folders.

mod figures;
mod inspect;
mod story;
mod support;
