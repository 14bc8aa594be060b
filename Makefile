# The commands of the house. `make run` starts it, `make check` before a commit, `make test` is everything (CI calls it).

.PHONY: run check test bench docs

CARGO ?= cargo

## Build in release mode and start the gateway on its embedded defaults: make run ARGS="--listen 127.0.0.1:9000"
run:
	$(CARGO) run --release --locked -p toolgate -- serve $(ARGS)

## Quick: format, lints, rules of the repository, unit tests.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) xtask tidy
	$(CARGO) test --workspace --lib --bins --locked

## Everything, on a bare Debian 12 with a Rust toolchain; installs what the tests need.
test:
	scripts/test.sh

## Measure a release build on this machine, some three minutes; all cells, peers and docs/performance.md: make bench ARGS=--full
bench:
	$(CARGO) build --release --locked -p toolgate -p toolgate-bench
	"$${CARGO_TARGET_DIR:-target}/release/toolgate-bench" --binary "$${CARGO_TARGET_DIR:-target}/release/toolgate" $(ARGS)

## Write the generated pages of docs/reference.
docs:
	$(CARGO) xtask docs
