# Everything a developer runs. `make help` lists it.
#
#   make demo    build Gateward and run it in front of three small sample services
#   make test    install what the tests need and run them all

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

export PATH := $(HOME)/.cargo/bin:$(PATH):/usr/sbin
export CARGO_TERM_COLOR ?= auto

# `make test` draws the same cases each time, so that a change is judged by what it changed; a plain
# `cargo test` draws new ones.
PROPTEST_SEED ?= 20261126
CARGO_DENY_VERSION := 0.20.2
BINARY := $(CURDIR)/target/fast/gateward
# What few need is left out of a usual build, and tested with the rest.
FEATURES := --features gateward/ldap

# Coverage for libFuzzer without a nightly toolchain: these are stable flags of the pinned compiler.
FUZZ_FLAGS := --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
	-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
FUZZ_SMOKE_SECONDS ?= 3
FUZZ_SECONDS ?= 60
# Asked only when a fuzz target runs: the toolchain may have to be installed first.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_BIN = fuzz/target/$(HOST)/release
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

# Which parts of the program requests go through, as the scenarios of the benchmark have shown.
PROFILE := bench/gateward.profdata
PROFILED := a,b,c10,c1m,d,g,k,log,key,key401,limit,limit429,jwt,tls,tlsg,h2,grpc
# Of the compiler's own component llvm-tools, or of an LLVM that is as new.
LLVM_PROFDATA ?= $(firstword $(wildcard $(shell rustc --print sysroot)/lib/rustlib/*/bin/llvm-profdata) llvm-profdata)

step = @printf '\n== %s\n' "$(1)"

##@ Run
.PHONY: demo build
# A release takes four times as long to build, and nobody measures here.
demo: binary ## build Gateward and run it in front of three sample services
	$(BINARY) demo

# Laid out by where requests lead; what has changed since `make profile` is built as usual.
build: tools-build ## build target/release/gateward
	$(call step,building gateward (release$(comma) 10 to 20 minutes on two cores))
	CARGO_ENCODED_RUSTFLAGS="$$(printf '%s\037' $(RUSTFLAGS) '-Cprofile-use=$(CURDIR)/$(PROFILE)')-Cllvm-args=-no-pgo-warn-mismatch" \
		cargo build --release --locked -p gateward

##@ Check
.PHONY: test check format clippy docs deny tidy unit end-to-end binary
test: tools format clippy docs deny tidy fuzz-smoke unit end-to-end ## install what the tests need and run them all

check: tools-build format clippy tidy unit ## the fast part of `make test`

format: tools-build
	$(call step,formatting)
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check

clippy: tools-build
	$(call step,clippy (warnings are errors))
	cargo clippy --workspace --all-targets $(FEATURES) --locked -- -D warnings
	cargo clippy -p gateward --locked -- -D warnings

docs: tools-build
	$(call step,documentation comments (warnings are errors))
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace $(FEATURES) --no-deps --document-private-items --locked --quiet

deny: tools-build
	$(call step,licences$(comma) bans$(comma) sources$(comma) advisories)
	CARGO_DENY_VERSION=$(CARGO_DENY_VERSION) .ci/deny

tidy: tools-build
	$(call step,house rules)
	cargo run --quiet --locked -p xtask -- tidy

unit: tools-build
	$(call step,unit tests)
	PROPTEST_RNG_SEED=$(PROPTEST_SEED) cargo test --workspace --exclude end-to-end $(FEATURES) --locked

binary: tools-build
	$(call step,building gateward (release code$(comma) without the long link))
	cargo build --profile fast --locked -p gateward $(FEATURES)

end-to-end: tools binary ## the real binary against real peers
	$(call step,end-to-end tests)
	GATEWARD_BIN=$(BINARY) cargo test -p end-to-end --tests --locked

##@ Fuzz
.PHONY: fuzz fuzz-build fuzz-smoke
# libFuzzer is C++, so these need more tools than the rest.
fuzz-build: tools
	$(call step,fuzz targets: clippy$(comma) tests$(comma) build)
	cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target --all-targets --locked -- -D warnings
	cargo test --manifest-path fuzz/Cargo.toml --target-dir target --lib --locked
	@RUSTFLAGS='$(FUZZ_FLAGS)' cargo build --manifest-path fuzz/Cargo.toml --release --locked --target $(HOST)

fuzz-smoke: fuzz-build ## build every fuzz target and run each for a moment
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target fuzz/artifacts/$$target; \
		printf 'fuzz %-16s' $$target; \
		log=$$(mktemp); \
		if $(FUZZ_BIN)/$$target -max_total_time=$(FUZZ_SMOKE_SECONDS) -timeout=10 -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=fuzz/artifacts/$$target/ fuzz/corpus/$$target $(wildcard fuzz/seeds) >$$log 2>&1; \
		then echo "$$(sed -n 's/^stat::number_of_executed_units: *//p' $$log) runs, no finding"; rm $$log; \
		else cat $$log; rm $$log; exit 1; fi; \
	done

fuzz: fuzz-build ## fuzz one target: make fuzz TARGET=request_head FUZZ_SECONDS=600
	@test -n "$(TARGET)" || { echo "name one: make fuzz TARGET=... ($(FUZZ_TARGETS))"; exit 2; }
	mkdir -p fuzz/corpus/$(TARGET) fuzz/artifacts/$(TARGET)
	$(FUZZ_BIN)/$(TARGET) -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
		-artifact_prefix=fuzz/artifacts/$(TARGET)/ fuzz/corpus/$(TARGET) $(wildcard fuzz/seeds)

##@ Measure
.PHONY: bench profile
bench: build ## measure it beside other proxies: make bench BENCH='--scenarios a,b --rounds 3'
	$(call step,benchmark (bench/README.md says how to read it))
	@command -v python3 >/dev/null || { echo "bench: install python3 first"; exit 1; }
	python3 -m unittest discover -q bench
	python3 bench/bench.py $(BENCH)

# Programs that run in the build have counters too: what they have counted is deleted.
profile: tools-build ## measure anew which parts of the program requests go through
	@command -v python3 >/dev/null || { echo "profile: install python3 first"; exit 1; }
	@command -v $(LLVM_PROFDATA) >/dev/null || { \
		echo "profile: there is no $(LLVM_PROFDATA): rustup component add llvm-tools, or name one with LLVM_PROFDATA=PATH"; exit 1; }
	$(call step,building gateward with counters)
	CARGO_ENCODED_RUSTFLAGS='-Cprofile-generate=$(CURDIR)/target/profile/counts' \
		cargo build --release --locked -p gateward --target-dir target/profile
	rm -rf target/profile/counts
	$(call step,running the benchmark on it)
	LLVM_PROFILE_FILE='$(CURDIR)/target/profile/counts/%p.profraw' python3 bench/bench.py \
		--peers gateward --gateward target/profile/release/gateward --scenarios $(PROFILED) --rounds 1 --seconds 3
	$(LLVM_PROFDATA) merge --sparse -o $(PROFILE) target/profile/counts/*.profraw

##@ Work
.PHONY: generate fmt clean help tools tools-build
generate: tools-build ## write the generated references under docs/reference
	cargo run --quiet --locked -p xtask -- generate

fmt: tools-build ## format everything
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

clean: ## remove everything that was built
	rm -rf target fuzz/target

tools-build:
	@.ci/tools build

tools:
	@.ci/tools test

help: ## this list
	@sed -nE 's/^##@ (.*)/\n\1/p; s/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

comma := ,
