//! The tool on real folders.

mod figures;
mod inspect;
mod live;
mod story;
mod support;
