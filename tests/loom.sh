#!/usr/bin/env bash
# Runs the inbox under loom, which tries every interleaving. A target folder of its own: the flag rebuilds everything.
set -eu
export RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"
cargo test --package ringpost --lib --quiet -- runtime::inbox
