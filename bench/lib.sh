# For the scripts beside it: builds the programs, starts and stops one server, keeps a working folder.
# Sourced, with `set -eu -o pipefail` on; each sets what it wants of: message_bytes_max, segment_bytes,
# start_seconds (how long a start may take).
export RINGPOST_BENCH_PASSWORD=bench-password
# One by one, as `make run` builds: together they would share features and be built again.
cargo build --release --quiet --package ringpost
cargo build --release --quiet --package ringpost-bench
programs=${CARGO_TARGET_DIR:-target}/release
results=bench/results
mkdir -p "$results"
mkdir -p "$programs"
work=$(mktemp -d -p "${RINGPOST_BENCH_FOLDER:-$programs}" bench.XXXXXX)
server=

pin() { # pin CORE COMMAND…: becomes the command, on that core if there is one
    local core=$1
    shift
    if [ "$(nproc)" -gt "$core" ] && command -v taskset >/dev/null; then exec taskset -c "$core" "$@"; else exec "$@"; fi
}
configure() { # one shard on the first core
    cat > "$work/ringpost.toml" <<CONFIG
hostname = "bench.example.test"
shards = ${RINGPOST_BENCH_SHARDS:-1}
pin_threads = false
[limits]
message_bytes_max = ${message_bytes_max:-16777216}
[store]
segment_bytes = ${segment_bytes:-134217728}
CONFIG
}
start() { # a server, its process id in $server
    pin 0 "$programs/ringpost" serve --data "$work/data" --config "$work/ringpost.toml" >"$work/table" 2>>"$work/log" &
    server=$!
    for _ in $(seq $((50 * ${start_seconds:-60}))); do
        grep -q Ctrl-C "$work/table" && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.02
    done
    cat "$work/log" >&2
    exit 1
}
stop() {
    [ -n "$server" ] || return 0
    kill -INT "$server" 2>/dev/null || true
    wait "$server" || true
    server=
}
admin() { "$programs/ringpost" "$@" --data "$work/data" >/dev/null; }
machine() { # what all this ran on, as a sentence
    echo "$(nproc) × $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $(free -h | awk '/Mem/ {print $2}') of memory," \
        "Linux $(uname -r), $(stat -f -c %T "$work") on $(df --output=source "$work" | tail -1), loopback;" \
        "$("$programs/ringpost" --version), one shard pinned to the first core, the client to the second."
}
