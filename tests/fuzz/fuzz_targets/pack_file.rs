//! libFuzzer's way into the target of this name.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringpost_fuzz::disk::pack_file::run(octets));
