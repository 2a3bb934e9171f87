# The one place for everyday commands; `make` alone lists them. ARGS=... goes to the program.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

ARGS ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
TICKSMITH := $(TARGET_DIR)/release/ticksmith
NEED := scripts/need.sh

# tests/services_* need real servers, of them tests/services_secure* such that want TLS and logins, and
# tests/services_cluster* several nodes; every other file of tests/, and every folder with a main.rs, needs none.
TESTS := $(basename $(notdir $(wildcard tests/*.rs))) $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs))
SECURE_TESTS := $(filter services_secure%,$(TESTS))
CLUSTER_TESTS := $(filter services_cluster%,$(TESTS))
OPEN_TESTS := $(filter-out $(SECURE_TESTS) $(CLUSTER_TESTS),$(filter services_%,$(TESTS)))
SERVER_FREE_TESTS := $(filter-out services_%,$(TESTS))

.PHONY: help demo docker-up docker-demo docker-down topics cassandra-init install producer stream-job spark-job doctor \
	smoke-test simulate dev \
	test test-unit test-integration test-secure test-cluster test-all simulate-test outage chaos soak fuzz \
	format lint deny alerts check infra-up infra-down infra-status bench bench-micro bench-peers \
	instructions release

help: ## List the targets
	@echo "usage: make TARGET [ARGS='...']"; echo
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS=$$'\t' read -r name text; do printf '  %-18s %s\n' "$$name" "$$text"; done

##### Try it: one process, no servers

demo: ## Build and run everything in one process with live bars in a browser (ARGS='--for 30s')
	@$(NEED) cargo cc
	cargo build --locked --profile demo
	@$(TARGET_DIR)/demo/ticksmith up $(ARGS)

##### Set up

install: ## Install the system packages (Debian) and cargo-deny where missing, then build the release binary
	@$(NEED) cargo
	@scripts/system-packages.sh
	@scripts/cargo-tools.sh
	@$(MAKE) release

dev: install ## install + .env from config/dev.env + debug build + git hooks; starts nothing
	@[ -e .env ] || { cp config/dev.env .env; echo "wrote .env from config/dev.env"; }
	cargo build --locked
	@if git rev-parse --git-dir > /dev/null 2>&1; then \
		git config core.hooksPath scripts/hooks; echo "git hooks: scripts/hooks"; fi

release:
	@$(NEED) cargo cc
	cargo build --locked --release

##### Servers, with Docker or without

docker-up: ## Start Kafka, Cassandra, Kafka UI, Prometheus and Grafana with Docker Compose
	@scripts/compose.sh up -d $(ARGS)

docker-demo: ## The same and all of ticksmith in containers; a simulated feed without FINNHUB_API_KEY
	@scripts/compose.sh --profile full up -d --build $(ARGS)
	@echo "dashboard http://localhost:8501, Grafana http://localhost:3000 (admin/admin), stream http://localhost:8080"

docker-down: ## Stop both; the data stay in their volumes (ARGS=-v deletes them)
	@scripts/compose.sh --profile full down $(ARGS)

infra-up: ## Start a real Kafka and Cassandra without Docker; ready when it returns
	@scripts/infra.sh up $(ARGS)

infra-down: ## Stop them; the data stay in .infra/
	@scripts/infra.sh down $(ARGS)

infra-status: ## Say whether they answer, and on which ports
	@scripts/infra.sh status $(ARGS)

##### Run the pipeline on Kafka and Cassandra

topics: release ## Create the Kafka topics, or report what differs
	@$(TICKSMITH) topics $(ARGS)

cassandra-init: release ## Create the keyspace and the tables, or report what differs
	@$(TICKSMITH) cassandra-init $(ARGS)

producer: release ## Read the feed into Kafka
	@$(TICKSMITH) producer $(ARGS)

stream-job: release ## Turn trades into bars: Kafka to Cassandra
	@$(TICKSMITH) stream $(ARGS)

spark-job: stream-job ## The same, under the name it has in pipelines that use Spark

doctor: release ## Check key, feed, topics, tables, clocks, disk and ports: what is wrong, and the remedy
	@$(TICKSMITH) doctor $(ARGS)

smoke-test: ## Send a few trades through the running system and find them everywhere (ARGS='-- --within 2m')
	@python3 scripts/smoke_test.py -v $(ARGS)

simulate: release ## Serve a simulated feed that speaks Finnhub's protocol
	@$(TICKSMITH) simulate $(ARGS)

##### Check

test-unit: ## Test the library alone
	@$(NEED) cargo cc
	cargo test --locked --no-fail-fast --lib $(ARGS)

test: ## Run every test that needs no server
	@$(NEED) cargo cc
	cargo test --locked --no-fail-fast --lib --bins $(addprefix --test ,$(SERVER_FREE_TESTS)) $(ARGS)

SEEDS ?= 10000
SEED ?=

simulate-test: ## Simulate faults: SEEDS=10000 runs, or one with its trace: SEED=1234
	@$(NEED) cargo cc
	TICKSMITH_SIMULATION_SEEDS=$(SEEDS) TICKSMITH_SIMULATION_SEED=$(SEED) \
		cargo test --locked --profile demo --test simulation -- --exact the_seeds_hold --nocapture $(ARGS)

TARGET ?=
SECONDS_EACH ?= 60

fuzz: ## Fuzz every decoder, SECONDS_EACH=60 s each, or one: TARGET=config_file (KEEP=yes: add to the corpus)
	@$(NEED) cargo cc
	@scripts/cargo-tools.sh fuzz
	SECONDS_EACH=$(SECONDS_EACH) KEEP=$(KEEP) scripts/fuzz.sh $(TARGET)

FAULTS ?= 50
RATE ?=

chaos: ## Kill processes and servers under load, then compare everything: FAULTS=50, SEED=1234, RATE=24000
	@$(NEED) cargo cc java maven python
	@scripts/foreign-venv.sh > /dev/null
	cargo test --locked --profile demo --no-run --test services_chaos
	TICKSMITH_CHAOS_FAULTS=$(FAULTS) TICKSMITH_CHAOS_SEED=$(SEED) TICKSMITH_CHAOS_RATE=$(RATE) \
		CASSANDRA_COMMITLOG_SYNC=batch scripts/with-services.sh \
		cargo test --locked --profile demo --test services_chaos -- --nocapture $(ARGS)

soak: MINUTES ?= 30
soak: ## RATE=20000 trades/s for MINUTES=30 with a kill every so often: memory, lag and recoveries as a table
	@$(NEED) cargo cc java maven python
	@MINUTES=$(MINUTES) SEED=$(SEED) RATE=$(RATE) scripts/soak.sh

test-integration: ## Run the tests on a real Kafka and Cassandra (started and stopped by it) and in Chromium
	@$(NEED) cargo cc java maven chromium python promtool
	@$(MAKE) alerts
	@scripts/foreign-venv.sh > /dev/null
	cargo test --locked --no-run --test 'services_*'
	CASSANDRA_COMMITLOG_SYNC=batch scripts/with-services.sh \
		cargo test --locked --no-fail-fast $(addprefix --test ,$(OPEN_TESTS)) $(ARGS)
	@$(MAKE) test-secure

test-secure: ## Its part on servers that want TLS, certificates and passwords
	@$(NEED) cargo cc java maven openssl
	TICKSMITH_INFRA_SECURE=yes scripts/with-services.sh \
		cargo test --locked $(addprefix --test ,$(SECURE_TESTS)) $(ARGS)

SIZE_MIB ?= 200

outage: MINUTES ?= 10
outage: RATE := $(or $(RATE),5000)
outage: ## Take Kafka away for MINUTES=10 at RATE=5000 trades/s with SIZE_MIB=200 for the spool; count what came of it
	@$(NEED) cargo cc java maven python
	@scripts/foreign-venv.sh > /dev/null
	cargo build --locked --profile demo
	TICKSMITH_BIN=$(abspath $(TARGET_DIR))/demo/ticksmith MINUTES=$(MINUTES) RATE=$(RATE) SIZE_MIB=$(SIZE_MIB) \
		TICKSMITH_INFRA_SERVICES=kafka scripts/with-services.sh scripts/outage.sh

test-cluster: ## Kill nodes of a Cassandra of three; three minutes and 3 GB of memory, no part of the others
	@$(NEED) cargo cc java maven python
	@scripts/foreign-venv.sh > /dev/null
	CASSANDRA_COMMITLOG_SYNC=batch CASSANDRA_HEAP=512m scripts/with-services.sh \
		cargo test --locked $(addprefix --test ,$(CLUSTER_TESTS)) $(ARGS)

test-all: ## test, then test-integration
	@$(MAKE) test
	@$(MAKE) test-integration

format: ## Format the code
	@$(NEED) cargo rustfmt
	cargo fmt

lint: ## Clippy, warnings are errors
	@$(NEED) cargo cc clippy
	cargo clippy --locked --all-targets -- -D warnings

deny: ## Licences, bans and sources of the dependencies; known vulnerabilities where their database is reached
	@scripts/deny.sh

alerts: ## The alert rules of Prometheus on the series of their tests, and the queries of the dashboards
	@$(NEED) promtool python
	@scripts/alerts.sh

check: ## Formatting, lint and dependencies, as CI does it
	@$(NEED) cargo rustfmt
	cargo fmt --check
	@$(MAKE) lint
	@$(MAKE) deny

bench: ## Measure beside a real Kafka and Cassandra, started and stopped by it (ARGS='--only b,c --runs 1', ARGS=--help)
	@$(NEED) cargo cc java maven
	@scripts/bench.sh $(ARGS)

bench-micro: ## Time each step of a trade's way, without servers
	@$(NEED) cargo cc
	cargo bench --locked --bench micro -- $(ARGS)

instructions: ## Count each step's instructions; fails when one takes 5 % more than recorded (ARGS=record)
	@$(NEED) cargo cc valgrind
	@scripts/instructions.sh $(ARGS)

bench-peers: ## The same bars by Flink, Kafka Streams and Spark beside ticksmith (TICKSMITH_BENCH_JOBS=ticksmith,flink)
	@$(NEED) cargo cc java maven
	TICKSMITH_PEERS= cargo bench --locked --bench peers > /dev/null
	rm -rf target/peers/*/lib
	mvn -B -q -f benches/peers/pom.xml package
	TICKSMITH_PEERS=$(abspath target)/peers scripts/bench-services.sh cargo bench --locked --bench peers -- $(ARGS)
