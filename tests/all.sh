#!/usr/bin/env bash
# What `make test` runs after the lints. Everything runs; the first failure ends it.
set -eu
tests/clients/install.sh
cargo test --workspace --quiet
if tests/full-disk.sh --can; then
    tests/full-disk.sh
else
    echo "full-disk: NOT RUN: this needs root, loop devices and mkfs.ext4; run \`make full-disk\` where they are" >&2
fi
