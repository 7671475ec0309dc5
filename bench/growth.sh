#!/usr/bin/env bash
# How SELECT, FETCH, SEARCH, SORT and THREAD grow with the mailbox, and what a neighbour waits meanwhile: writes
# bench/results/growth.{jsonl,md,svg,png}. RINGPOST_BENCH_SIZES: messages of the mailboxes, the last one for the
# neighbour; RINGPOST_BENCH_ROUNDS; RINGPOST_BENCH_MESSAGE_BYTES, the same at every size.
set -eu -o pipefail
sizes=${RINGPOST_BENCH_SIZES:-1000,10000,100000,1000000}
octets=${RINGPOST_BENCH_MESSAGE_BYTES:-1024}
message_bytes_max=104857600
segment_bytes=268435456
# shellcheck source=bench/lib.sh
. bench/lib.sh
trap 'stop; rm -rf "$work"' EXIT
configure
start
admin domain add example.test
for name in $(echo "$sizes" | tr , ' ' | sed 's/[0-9]*/size&/g') neighbour; do
    echo "$name@example.test,$RINGPOST_BENCH_PASSWORD"
done | admin account add --csv

survey() {
    echo "  $*" >&2
    (pin 1 "$programs/ringpost-bench" "$@" --user-pattern "size{}@example.test" --sizes "$sizes" \
        --message-bytes "$octets" --rounds "${RINGPOST_BENCH_ROUNDS:-5}" --connections 8 --prepare \
        --server-pid "$server" --timeout-seconds 120) >> "$work/growth.jsonl"
}
for scenario in imap-select imap-list imap-search imap-sort imap-thread; do survey "$scenario"; done
echo "  imap-neighbour" >&2
(pin 1 "$programs/ringpost-bench" imap-neighbour --user-pattern "size${sizes##*,}@example.test" \
    --timeout-seconds 600) >> "$work/growth.jsonl"

cp "$work/growth.jsonl" "$results/growth.jsonl"
"$programs/ringpost-bench" plot "$results/growth.svg" "$results/growth.png" < "$work/growth.jsonl"
{
    echo "# Growth, measured by \`make bench\` on $(date -u +%F)"
    echo
    machine
    echo "Messages of $octets octets at every size; medians of ${RINGPOST_BENCH_ROUNDS:-5} rounds, the first apart."
    echo
    echo "![growth](growth.svg)"
    echo
    "$programs/ringpost-bench" growth < "$work/growth.jsonl"
} > "$results/growth.md"
cat "$results/growth.md"
