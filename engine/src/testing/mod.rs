//! Fakes and models, for simulations here and in the packages that use the store.
//!
//! *Owns*: the other side of the contract in [`crate::io`]. *Promises*: the same seed gives the same run.
//! *Assumes*: nothing. *Never*: is part of a server.

pub mod fake_disk;
pub mod mail;
pub mod model;
mod model_arrivals;
mod model_graves;
mod model_import;
mod model_policy;
pub mod packs;
pub mod seed;

pub use crate::log::writer::Plant;
