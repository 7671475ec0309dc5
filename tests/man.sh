#!/usr/bin/env bash
# Writes the manual pages of all three programs to target/man.
set -eu
mkdir -p target/man
for program in ringpost ringpost-log ringpost-bench; do
    cargo run --quiet --package "$program" --bin "$program" -- man > "target/man/$program.1"
    echo "target/man/$program.1"
done
