//! The tool on real folders.

mod backup;
mod carried;
mod compat;
mod figures;
mod inspect;
mod live;
mod made;
mod packs;
mod restored;
mod story;
mod support;
mod who;
