#!/usr/bin/env bash
# `make bench-store`: what stores of many accounts cost: replay, start, memory, deliveries beside upkeep. Writes
# bench/results/store.{jsonl,md,svg,png}.
# STORE_SIZES: accounts:messages of each store, one after the other; a size that does not leave STORE_FREE_GB (10) of
# the disk free is made smaller, and that is told. STORE_SECONDS and STORE_RATE of each measurement of deliveries.
# The whole thing, `STORE_SIZES=1000000:20000000`, takes some 60 GB.
set -eu -o pipefail
sizes=${STORE_SIZES:-20000:400000 100000:2000000 400000:8000000}
free_bytes=$((${STORE_FREE_GB:-10} << 30))
seconds=${STORE_SECONDS:-15}
rate=${STORE_RATE:-2000}
octets=700         # of a generated message, and of a delivered one
room_each=3000     # of the disk for a message: log, checkpoints, and what compaction has in hand
touched=10000      # accounts
hot=2000           # accounts that get most of the mail, and are emptied for compaction
start_seconds=600
# shellcheck source=bench/lib.sh
. bench/lib.sh
cargo build --release --quiet --package ringpost-log
trap 'stop; rm -rf "$work"' EXIT
export RINGPOST_BENCH_PASSWORD=secret
lines=$work/store.jsonl

say() { echo "  $*" >&2; }
tell() { # tell WORK VALUE UNIT [PANEL]: one figure of the store at hand
    local panel=${4:+, \"panel\": \"$4\"}
    echo "{\"scenario\": \"store\", \"accounts\": $accounts, \"messages\": $messages, \"work\": \"$1\"," \
        "\"value\": $2, \"unit\": \"$3\"$panel}" | tee -a "$lines" | sed 's/.*"work": //; s/^/    /' >&2
}
calc() { awk "BEGIN { printf \"%.4f\", $1 }"; }
figure() { # a figure of `ringpost status`, over all shards
    "$programs/ringpost" status --json --data "$work/data" | jq -s "map(.figures.$1 // 0) | add"
}
recovered() { # a word of the last recovery line
    grep ' recovery ' "$work/log" | tail -1 | tr ' ' '\n' | sed -n "s/^$1=//p"
}
memory() { awk '/^Rss:/ { rss = $2 } /^Anonymous:/ { print $2 / 1024, rss / 1024 }' "/proc/$server/smaps_rollup"; }
written() { # bytes that the device wrote, for whomever; /proc/PID/io counts whole folios, many times what is written
    local fields
    sync -f "$work"
    read -ra fields < "/sys/class/block/$(basename "$(df --output=source "$work" | tail -1)")/stat"
    echo $((fields[6] * 512))
}
forget() { # takes the store's files out of the page cache, so that they are read from the disk
    sync -f "$work/data"
    for file in "$work"/data/shard-*/*; do dd if="$file" iflag=nocache count=0 status=none; done
}
settings() { # settings CHECKPOINT_LOG_BYTES [LINE…]: of the next start
    configure
    printf '%s\n' "checkpoint_log_bytes = $1" "${@:2}" >> "$work/ringpost.toml"
}
timed_start() { # starts the server; $start_s: seconds until it serves
    local began
    began=$(date +%s%N)
    start
    start_s=$(calc "($(date +%s%N) - $began) / 1e9")
}
load() { # load OUT SCENARIO OPTION…: a JSON line of its own
    local out=$1
    shift
    (pin 1 "$programs/ringpost-bench" "$@" --user-pattern 'user{7}@example.test' --server-pid "$server") > "$out"
}
deliver() { # deliver MODE: an open loop over all accounts
    load "$work/load" lmtp --mailboxes $((accounts - 1)) --connections 32 --message-bytes $octets \
        --rate "$rate" --seconds "$seconds"
    tell "delivery, p50, $1" "$(jq .latency_us.p50 "$work/load")" µs
    tell "delivery, p99, $1" "$(jq .latency_us.p99 "$work/load")" µs "deliveries, $rate a second"
    tell "delivery, worst, $1" "$(jq .latency_us.max "$work/load")" µs
}

fits() { # makes the size at hand smaller until it leaves enough of the disk free
    local room
    room=$(($(df --output=avail -B1 "$work" | tail -1) - free_bytes))
    if [ $((messages * room_each)) -gt "$room" ]; then
        [ "$room" -gt $((200000 * room_each)) ] || { say "too little room on the disk for any store"; exit 1; }
        local most=$((room / room_each / 100000 * 100000))
        say "$messages messages would not leave ${STORE_FREE_GB:-10} GB of the disk free: $most instead"
        accounts=$((accounts * most / messages))
        messages=$most
    fi
}

make_store() {
    say "$accounts accounts, $messages messages"
    "$programs/ringpost-log" --data "$work/data" generate --accounts "$accounts" --messages "$messages" \
        --bytes "$octets" --shards 1 --json > "$work/made"
    tell "generated" "$(jq '.messages / .ms' "$work/made")" "thousand messages/s"
    tell "log" "$(jq '.log_bytes / 1e9' "$work/made")" GB
    tell "log, a message" "$(jq '.log_bytes / .messages' "$work/made")" B
    # What the generator left of checkpoints would cut the replay short.
    rm -f "$work"/data/shard-*/*.ckp
}

replays() {
    forget
    local began read_s bytes ms cold_ms
    bytes=$(cat "$work"/data/shard-*/*.seg | wc -c)
    forget
    began=$(date +%s%N)
    for file in "$work"/data/shard-*/*.seg; do dd if="$file" of=/dev/null bs=4M status=none; done
    read_s=$(calc "($(date +%s%N) - $began) / 1e9")
    tell "the disk reads the same files" "$(calc "$bytes / $read_s / 1e9")" GB/s "replay"
    forget
    settings 0
    start
    cold_ms=$(recovered ms)
    tell "replay, cold cache" "$(calc "$(recovered bytes) / $cold_ms / 1e6")" GB/s "replay"
    tell "replay, cold cache, records" "$(calc "(2 * $messages + $accounts) / $cold_ms / 1e3")" "million/s"
    tell "replay, cold cache" "$(calc "$cold_ms / 1e3")" s "start"
    read -r anonymous _ < <(memory)
    tell "resident after it, everybody awake" "$anonymous" MB "memory, without pages of files"
    stop
    settings $((64 << 20))
    start
    ms=$(recovered ms)
    tell "replay, warm cache" "$(calc "$(recovered bytes) / $ms / 1e6")" GB/s "replay"
    say "a checkpoint of everything"
    for _ in $(seq 600); do
        [ "$(figure checkpoints)" -ge 1 ] && break
        sleep 0.5
    done
    tell "a checkpoint of everything" "$(calc "$(figure checkpoint_bytes) / 1e6")" MB
    tell "a checkpoint of everything, a message" "$(calc "$(figure checkpoint_bytes) / $messages")" B
    stop
}

starts() {
    forget
    settings $((64 << 20))
    timed_start
    tell "start from the checkpoint, cold cache, until served" "$start_s" s "start"
    tell "of that, reading the checkpoint and the log behind it" "$(calc "$(recovered ms) / 1e3")" s
    read -r anonymous _ < <(memory)
    tell "resident after the start" "$anonymous" MB "memory, without pages of files"
    tell "resident after the start, an account" "$(calc "$anonymous * 1048576 / $accounts")" B
    load "$work/load" imap-touch --mailboxes $((accounts - 1)) --connections 8 --count "$touched"
    read -r anonymous _ < <(memory)
    tell "resident after $touched accounts were looked at" "$anonymous" MB "memory, without pages of files"
    tell "a look at an account that was asleep, p50" "$(jq .latency_us.p50 "$work/load")" µs
    tell "a look at an account that was asleep, p99" "$(jq .latency_us.p99 "$work/load")" µs
    stop
}

deliveries() { # without upkeep and with it, in turns
    for _ in 1 2; do
        settings 0
        start
        deliver "no upkeep"
        stop
        settings $((2 << 20))
        start
        deliver "checkpoints all the time"
        say "$(figure checkpoints) checkpoints"
        stop
    done
}

upkeep() { # mail comes and goes, and the disk gets its room back
    local count=$((messages / 2 < 400000 ? messages / 2 : 400000)) before log_before done_before
    local hot=$((accounts - 1 < hot ? accounts - 1 : hot)) # a small store has fewer
    settings $((64 << 20)) "undelete_days = 0" "compact_grace_seconds = 5"
    start
    before=$(written) log_before=$(figure log_next)
    say "$count messages to $hot accounts"
    load "$work/load" lmtp --mailboxes "$hot" --connections 64 --message-bytes $octets --count "$count"
    tell "delivered to few accounts at full speed" "$(jq .rate_per_s "$work/load")" "messages/s"
    tell "checkpoint bytes a delivered message" "$(calc "$(figure checkpoint_bytes) / $count")" B "checkpoint bytes"
    say "most of it is removed"
    load "$work/load" imap-touch --empty --mailboxes $((hot * 7 / 10)) --connections 8 --count $((hot * 7 / 10))
    deliver "compaction"
    done_before=-1
    for _ in $(seq 60); do
        [ "$(figure compacted_bytes_written)" != "$done_before" ] || break
        done_before=$(figure compacted_bytes_written)
        sleep 5
    done
    count=$((count + rate * seconds))
    tell "compaction copied" "$(calc "$(figure compacted_bytes_written) / 1e6")" MB
    tell "compaction gave back" "$(calc "$(figure compacted_bytes_reclaimed) / 1e6")" MB
    tell "written by the device an octet delivered, all upkeep included" \
        "$(calc "($(written) - $before) / ($count * $octets)")" "octets" "write amplification"
    tell "of that, log" "$(calc "($(figure log_next) - $log_before) / ($count * $octets)")" "octets" "write amplification"
    tell "of that, checkpoints" "$(calc "$(figure checkpoint_bytes) / ($count * $octets)")" "octets" "write amplification"
    tell "of that, compaction" "$(calc "$(figure compacted_bytes_written) / ($count * $octets)")" "octets" \
        "write amplification"
    stop
}

for size in $sizes; do
    accounts=${size%:*} messages=${size#*:}
    fits
    make_store
    replays
    starts
    deliveries
    upkeep
    rm -rf "$work/data"
done

cp "$lines" "$results/store.jsonl"
"$programs/ringpost-bench" plot "$results/store.svg" "$results/store.png" < "$lines"
{
    echo "# Large stores, measured by \`make bench-store\` on $(date -u +%F)"
    echo
    machine
    echo "Messages of $octets octets; deliveries by LMTP, $rate a second for $seconds s over all accounts (open loop)."
    echo
    echo "![store](store.svg)"
    echo
    "$programs/ringpost-bench" store < "$lines"
} > "$results/store.md"
cat "$results/store.md"
