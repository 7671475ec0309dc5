#!/usr/bin/env bash
# `make bench`: starts a server of its own on loopback, loads it, writes bench/results/latest.{jsonl,md}; then how
# lists and searches grow, see growth.sh.
# The server is on the first core and the client on the second where there are two; RINGPOST_BENCH_SECONDS a scenario.
set -eu -o pipefail
seconds=${RINGPOST_BENCH_SECONDS:-8}
mailboxes=1000
# shellcheck source=bench/lib.sh
. bench/lib.sh
trap 'stop; rm -rf "$work"' EXIT
configure
start
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
    machine
    echo
    "$programs/ringpost-bench" table < "$work/results.jsonl"
} > "$results/latest.md"
cat "$results/latest.md"
stop
bench/growth.sh
