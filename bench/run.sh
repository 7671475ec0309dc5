#!/usr/bin/env bash
# `make bench`: starts a server of its own on loopback, loads it, writes bench/results/latest.{jsonl,md}.
# The server is on the first core and the client on the second where there are two; RINGPOST_BENCH_SECONDS a scenario.
set -eu -o pipefail
seconds=${RINGPOST_BENCH_SECONDS:-8}
mailboxes=1000
export RINGPOST_BENCH_PASSWORD=bench-password
# One by one, as `make run` builds: together they would share features and be built again.
cargo build --release --quiet --package ringpost
cargo build --release --quiet --package ringpost-bench
programs=${CARGO_TARGET_DIR:-target}/release
results=bench/results
work=$(mktemp -d -p "${RINGPOST_BENCH_FOLDER:-.}" .bench.XXXXXX)
mkdir -p "$results"

pin() { # pin CORE COMMAND…: becomes the command, on that core if there is one
    local core=$1
    shift
    if [ "$(nproc)" -gt "$core" ] && command -v taskset >/dev/null; then exec taskset -c "$core" "$@"; else exec "$@"; fi
}

cat > "$work/ringpost.toml" <<CONFIG
hostname = "bench.example.test"
shards = ${RINGPOST_BENCH_SHARDS:-1}
pin_threads = false
[limits]
message_bytes_max = 16777216
CONFIG
start() { # a server, its process id in $server
    pin 0 "$programs/ringpost" serve --data "$work/data" --config "$work/ringpost.toml" >"$work/table" 2>>"$work/log" &
    server=$!
    for _ in $(seq 600); do
        grep -q Ctrl-C "$work/table" && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/log" >&2
    exit 1
}
stop() {
    kill -INT "$server" 2>/dev/null || true
    wait "$server" || true
}
trap 'stop; rm -rf "$work"' EXIT
start
admin() { "$programs/ringpost" "$@" --data "$work/data" >/dev/null; }
admin domain add example.test
{ # mailboxes that take, and eight each of two sizes to read
    seq "$mailboxes" | sed "s/.*/user&@example.test,$RINGPOST_BENCH_PASSWORD/"
    seq 8 | sed "s/.*/size51200-&@example.test,$RINGPOST_BENCH_PASSWORD/"
    seq 8 | sed "s/.*/size1048576-&@example.test,$RINGPOST_BENCH_PASSWORD/"
} | admin account add --csv

bench() { # one scenario: its JSON line goes to the results
    echo "  $*" >&2
    (pin 1 "$programs/ringpost-bench" "$@" --server-pid "$server") >> "$work/results.jsonl"
}
deliver() { bench "$@" --mailboxes "$mailboxes" --connections 64 --seconds "$seconds"; }
deliver lmtp --message-bytes 4096
deliver smtp --message-bytes 4096
deliver lmtp --message-bytes 51200
for octets in 51200 1048576; do
    read() { bench "$@" --user-pattern "size$octets-{}@example.test" --mailboxes 8 --connections 8 \
        --message-bytes "$octets" --messages "$((octets > 100000 ? 20 : 200))" --seconds "$seconds"; }
    read pop3-retr --prepare
    read imap-fetch
    read imap-fetch --tls --port 2993
done
bench imap-append --mailboxes 16 --connections 16 --message-bytes 10240 --seconds "$seconds"
for tls in "" "--tls --port 2993"; do
    # A fresh process: memory that earlier work left behind would hide what a session costs.
    stop && start
    # shellcheck disable=SC2086 # words are meant
    bench idle --mailboxes "$mailboxes" --connections 1000 --count 5000 $tls
done

cp "$work/results.jsonl" "$results/latest.jsonl"
{
    echo "# Measured by \`make bench\` on $(date -u +%F)"
    echo
    echo "$(nproc) × $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $(free -h | awk '/Mem/ {print $2}') of memory," \
        "Linux $(uname -r), $(stat -f -c %T "$work") on $(df --output=source "$work" | tail -1), loopback;" \
        "$("$programs/ringpost" --version), one shard pinned to the first core, the client to the second."
    echo
    "$programs/ringpost-bench" table < "$work/results.jsonl"
} > "$results/latest.md"
cat "$results/latest.md"
