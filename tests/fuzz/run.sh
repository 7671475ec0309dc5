#!/usr/bin/env bash
# Fuzzes every target for RINGPOST_FUZZ_SECONDS (60) each; arguments choose targets. Says what to install when it cannot.
set -eu
cd "$(dirname "$0")"
seconds=${RINGPOST_FUZZ_SECONDS:-60}
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
for target in "${targets[@]}"; do
    echo "fuzz: $target for $seconds s"
    cargo +nightly fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048
done
echo "fuzz: ${#targets[@]} targets, nothing found"
