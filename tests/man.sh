#!/usr/bin/env bash
# Writes the manual pages of all three programs and of each of their commands to target/man.
set -eu
rm -rf target/man
mkdir -p target/man
cargo build --quiet --workspace --bins
programs=${CARGO_TARGET_DIR:-target}/debug

page() { # page PROGRAM COMMAND…: this page, and those that it lists
    local program=$1
    shift
    local name inner
    name=$(IFS=-; echo "$program${*:+-$*}")
    "$programs/$program" man "$@" >"target/man/$name.1"
    # A page lists its commands as NAME\-COMMAND(1).
    sed 's/\\-/-/g' "target/man/$name.1" | sed -n "s/^$name-\([a-z0-9-]*\)(1)\$/\1/p" | while read -r inner; do
        [ "$inner" = help ] || page "$program" "$@" "$inner"
    done
}

for program in ringpost ringpost-log ringpost-bench; do page "$program"; done
echo "$(find target/man -name '*.1' | wc -l) pages in target/man; read one: man -l target/man/ringpost.1"
