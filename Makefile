# Verbs only: each is one line that calls something with a name. `make` alone lists them.
.PHONY: help run test check sim crash full-disk fixtures loom fuzz soak bench bench-store compare man
ARGS ?=

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 14

run: ## build and serve on ./data with two demonstration accounts; ARGS="--data DIR --config FILE" for the rest
	@cargo run --release --bin ringpost -- serve $(ARGS)

test: check ## everything that must hold: style, units, transcripts, simulations, crash rounds, real clients
	@tests/all.sh

check: ## format and lints
	@cargo fmt --all --check && cargo clippy --workspace --all-targets --quiet -- -D warnings

sim: ## many seeds of both simulations; SEED=n repeats one
	@tests/sim.sh

crash: ## 50 rounds of kill -9 under load, and 50 more with checkpoints and compaction all the time
	@RINGPOST_CRASH_ROUNDS=$${RINGPOST_CRASH_ROUNDS:-50} cargo test --release --test crash -- --nocapture

loom: ## every interleaving of the ring between shards (also part of `test`)
	@cargo test --package ringpost --lib -- sys::ring_model

fuzz: ## fuzz every parser for a minute each; says what to install when it cannot
	@tests/fuzz/run.sh

full-disk: ## a real server on a small disk that fills and on one that breaks; needs root or user namespaces
	@tests/full-disk.sh

fixtures: ## write the fixture of the format version that this code writes (engine/README.md §1.6)
	@RINGPOST_FIXTURES=write cargo test --test compat what_every_version_wrote_is_read

soak: ## hours of what `test` does in minutes
	@RINGPOST_SIM_SEEDS=1000000 RINGPOST_SIM_SHARD_SEEDS=100000 tests/sim.sh && RINGPOST_CRASH_ROUNDS=500 $(MAKE) crash

bench: ## measure this machine; figures go to bench/results
	@bench/run.sh

bench-store: ## large stores: replay, start, memory, deliveries beside upkeep; STORE_SIZES="accounts:messages …"
	@bench/store.sh

compare: ## the same work on Debian's Dovecot, installed where it is missing; figures go to bench/results
	@bench/compare.sh

man: ## manual pages into target/man
	@tests/man.sh
