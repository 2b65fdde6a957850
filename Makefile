# The house's commands. Each is thin: it calls cargo, npm or a script of ours. `make` lists them.
.DEFAULT_GOAL := help
SHELL := bash

ADDRESS ?= 127.0.0.1:8080
DATA_DIR ?= bookworm-data
# Where cargo puts what it builds; asked only by the targets that need it.
TARGET = $(shell scripts/target-dir)

.PHONY: search-quality search-regression search-speed help run build web test test-rust test-crash test-e2e check format lint deny bench crash clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: build ## Build, and start the whole shop at http://localhost:8080 with a demonstration catalogue
	@scripts/model || echo "WITHOUT A MODEL: search goes by words alone, not by meaning (try scripts/model later)" >&2
	cargo run --release --locked --quiet --bin bookworm -- serve --listen $(ADDRESS) --data-dir $(DATA_DIR)

build: tools web ## Build the program, optimised
	cargo build --release --locked --bin bookworm

web: ## Bundle styles and scripts of the pages
	@scripts/require node npm
	cd web && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

test: tools test-alerts test-deploy test-rust test-crash test-signalr test-e2e test-fleet-e2e ## Run every test (Prometheus, PostgreSQL, NATS, Redis, FerretDB and a browser are installed and started when they can be)

test-rust: web ## Run the Rust tests, on SQLite, PostgreSQL, NATS, Redis and FerretDB (for MongoDB; built with Go)
	@scripts/model || echo "WITHOUT A MODEL: tests that need it are skipped, or fail where CI=true" >&2
	scripts/with-postgres scripts/with-nats scripts/with-redis scripts/with-ferretdb cargo test --workspace --locked --no-fail-fast

test-crash: web ## Kill the shop a few times while people buy and chat, on both databases (make crash: many times)
	cargo build --locked --bin bookworm --bin bookworm-bench
	$(TARGET)/debug/bookworm-bench crash --bin $(TARGET)/debug/bookworm --kills 5
	$(TARGET)/debug/bookworm-bench chat-crash --bin $(TARGET)/debug/bookworm --kills 5
	scripts/with-postgres scripts/crash-on-postgres $(TARGET)/debug 5 3

.PHONY: test-fleet
test-fleet: web ## Kill each process of a fleet once while people buy, NATS too, stop two; then sell the last copies (make faults: more)
	cargo build --locked --bin bookworm --bin bookworm-bench
	scripts/with-postgres scripts/with-nats scripts/with-redis scripts/crash-on-fleet $(TARGET)/debug

.PHONY: test-alerts
test-alerts: ## Check the alert rules, their tests, the configurations around them, and that alerts are delivered
	scripts/test-alerts
	scripts/test-alert-delivery

.PHONY: test-deploy
test-deploy: ## Check the files for systemd, Kubernetes, compose and NATS with the tools that read them
	scripts/with-nats scripts/test-deploy

.PHONY: test-signalr
test-signalr: ## Drive the SignalR server with the clients that other people wrote
	scripts/test-signalr

.PHONY: fuzz-api
fuzz-api: web ## Fuzz the API as a guest, as a customer and as staff, against its own document
	scripts/fuzz-api

test-e2e: web ## Buy books in a real browser
	scripts/with-browser scripts/e2e

.PHONY: test-fleet-e2e
test-fleet-e2e: web ## The same, a few of them, on a fleet of 16 processes that `bookworm up` starts
	scripts/with-postgres scripts/with-nats scripts/with-redis env BOOKWORM_E2E_FLEET=deploy/fleet.toml scripts/with-browser scripts/e2e

check: format-check lint deny ## Format, lints, licences: what CI asks before it tests

format: ## Format the code
	cargo fmt --all

.PHONY: format-check
format-check:
	cargo fmt --all --check

lint: web ## Clippy and TypeScript; warnings are errors
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cd web && npm run --silent check

deny: ## Licences, duplicate versions and sources of every dependency
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo fetch --locked --quiet # also what only other systems need: the check looks at all of them
	cargo deny --offline check bans licenses sources

DATA ?= ../shared/data
search-quality: build ## Score the search on judged queries (DATA=folder; see docs/search.md)
	cargo build --release --locked --bin bookworm-bench
	$(TARGET)/release/bookworm-bench search-quality --data $(DATA)

search-regression: ## Ask real books what readers type, by words and with the model (DATA=folder with books.jsonl.gz)
	scripts/model
	SEARCH_BOOKS=$(abspath $(DATA))/books.jsonl.gz cargo test --locked --workspace --test search_quality -- --ignored --nocapture --test-threads 1

search-speed: build ## Time the search on the same shop of many books
	cargo build --release --locked --bin bookworm-bench
	$(TARGET)/release/bookworm-bench search-speed --data $(DATA)

.PHONY: intents-quality test-llm
intents-quality: ## Score the chat's understanding on judged sentences (DATA=folder; see docs/chat.md)
	@scripts/model || echo "WITHOUT A MODEL: only words are scored" >&2
	cargo run --release --locked -p bookworm-testkit --example intents_quality -- $(if $(wildcard $(DATA)/intents-dev),$(DATA)/intents-dev,$(DATA))

test-llm: ## Test the chat's language model with a real server and a small real model
	scripts/test-llm

bench: build ## Measure speed and memory; prints the tables of docs/performance.md
	cargo build --release --locked --bin bookworm-bench
	$(TARGET)/release/bookworm-bench suite --bin $(TARGET)/release/bookworm
	$(TARGET)/release/bookworm-bench chat-load --bin $(TARGET)/release/bookworm

KILLS ?= 50
CHAT_KILLS ?= 20
FLEET_KILLS ?= 100
crash: build ## Kill the shop 50 times while people buy and 20 times while they chat, on SQLite and on PostgreSQL, and 100 processes of a fleet
	cargo build --release --locked --bin bookworm-bench
	$(TARGET)/release/bookworm-bench crash --bin $(TARGET)/release/bookworm --kills $(KILLS)
	$(TARGET)/release/bookworm-bench chat-crash --bin $(TARGET)/release/bookworm --kills $(CHAT_KILLS)
	scripts/with-postgres scripts/crash-on-postgres $(TARGET)/release $(KILLS) $(CHAT_KILLS)
	scripts/with-postgres scripts/with-nats scripts/with-redis $(TARGET)/release/bookworm-bench crash --fleet --bin $(TARGET)/release/bookworm --kills $(FLEET_KILLS)

.PHONY: faults
FAULTS ?=
faults: build ## Try what can go wrong in a fleet (FAULTS="--only nats-away --seconds 60"; see docs/faults.md)
	cargo build --release --locked --bin bookworm-bench
	scripts/with-postgres scripts/with-nats scripts/with-redis scripts/with-ferretdb $(TARGET)/release/bookworm-bench faults --bin $(TARGET)/release/bookworm $(FAULTS)

clean: ## Remove what was built (not the shop's data)
	cargo clean
	rm -rf web/dist web/node_modules tests/e2e/node_modules

.PHONY: tools
tools:
	@scripts/require cargo cc node npm
