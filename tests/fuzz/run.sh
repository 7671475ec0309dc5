#!/usr/bin/env bash
# Fuzzes every target for RINGPOST_FUZZ_SECONDS (60) each within RINGPOST_FUZZ_MIB (2048) of memory; arguments choose
# targets. What is found to be interesting stays in tests/fuzz/found, what fails in tests/fuzz/artifacts.
# Says what to install when it cannot.
set -eu
cd "$(dirname "$0")"
seconds=${RINGPOST_FUZZ_SECONDS:-60}
mib=${RINGPOST_FUZZ_MIB:-2048}
needed=()
rustup toolchain list 2>/dev/null | grep -q '^nightly' || needed+=("rustup toolchain install nightly --profile minimal")
cargo fuzz --version >/dev/null 2>&1 || needed+=("cargo install --locked cargo-fuzz")
command -v c++ >/dev/null 2>&1 || needed+=("apt-get install -y g++")
if [ "${#needed[@]}" -gt 0 ]; then
    echo "make fuzz needs a nightly compiler, cargo-fuzz and a C++ compiler. Install what is missing:" >&2
    printf '  %s\n' "${needed[@]}" >&2
    exit 1
fi
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# A world in memory stands under these: what they say is kept short, and nothing unsafe is below them, so that the
# address sanitizer may do without what only unsafe code needs. They are tried some hundred times a second then.
session_octets=1000
choices_octets=400
in_a_world=malloc_context_size=0:quarantine_size_mb=8:thread_local_quarantine_size_kb=64
in_a_world+=:detect_stack_use_after_return=0

# What clients say and what messages come in in the transcripts are seeds as well, in pieces for a session.
transcripts=found/transcripts
rm -rf "$transcripts"
mkdir -p "$transcripts/imap" "$transcripts/mime" "$transcripts/pieces" "$transcripts/none"
find ../wire/transcripts/imap -name '*.txt' | while read -r file; do
    name=$(basename "$file" .txt)
    sed -n 's/^C[0-9]*: \(.*\)$/\1\r/p' "$file" >"$transcripts/imap/$name"
    sed -n 's/^|>\{0,1\} \{0,1\}\(.*\)$/\1\r/p' "$file" >"$transcripts/mime/$name"
    split --line-bytes="$session_octets" "$transcripts/imap/$name" "$transcripts/pieces/$name-"
done

for target in "${targets[@]}"; do
    echo "fuzz: $target for $seconds s"
    octets=0 # as long as the longest seed
    options=
    case $target in
        imap_search | imap_sort | imap_thread) seeds=none octets=$choices_octets options=$in_a_world ;;
        imap_session) seeds=pieces octets=$session_octets options=$in_a_world ;;
        imap_*) seeds=imap ;;
        mime_*) seeds=mime ;;
        *) seeds=none ;;
    esac
    mkdir -p "found/$target"
    # -entropic=0: weighing rare features takes libFuzzer more than half of its time, the more the more it kept.
    ASAN_OPTIONS=$options cargo +nightly fuzz run --fuzz-dir . "$target" \
        "found/$target" "corpus/$target" "$transcripts/$seeds" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb="$mib" -malloc_limit_mb="$mib" \
        -dict=words.dict -max_len="$octets" -entropic=0 -print_final_stats=1
done
echo "fuzz: ${#targets[@]} targets, nothing found"
