#!/usr/bin/env bash
# Many seeds of the engine's crash simulation and of the whole shard's. SEED=n repeats one seed of each with its trace.
set -eu
export RINGPOST_SIM_SEEDS=${RINGPOST_SIM_SEEDS:-10000} RINGPOST_SIM_SHARD_SEEDS=${RINGPOST_SIM_SHARD_SEEDS:-1000}
[ -z "${SEED:-}" ] || export RINGPOST_SIM_SEED=$SEED
cargo test --release --package ringpost-engine --test crash_sim -- --nocapture
cargo test --release --package ringpost --test sim -- --nocapture
# IMAP clients that keep copies across broken connections (QRESYNC, UIDONLY, NOTIFY, IDLE) or lists of results (CONTEXT).
export RINGPOST_SIM_SYNC_SEEDS=${RINGPOST_SIM_SYNC_SEEDS:-10000}
cargo test --release --package ringpost --lib -- proto::imap::tests::sync proto::imap::tests::contexts --nocapture
