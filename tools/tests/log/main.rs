//! The tool on real folders.

mod inspect;
mod story;
mod support;
