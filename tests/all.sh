#!/usr/bin/env bash
# What `make test` runs after the lints. Everything runs; the first failure ends it.
set -eu
tests/clients/install.sh
cargo test --workspace --quiet
