# Every target sets up what is missing first, and says what it does.
PY := .venv/bin/python
PYTEST := .venv/bin/python -m pytest -n 2 --dist loadfile

.PHONY: help setup demo up down test test-fixtures test-net test-vm test-vm-nft soak-proxy test-kubectl test-helm conformance-api conformance-suite test-dns-attached test-proxy-attached test-controllers-attached conformance-dns conformance-network conformance conformance-proxy bench-pods bench-proxy bench-dns lint type format clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install system packages, the virtual environment and kubectl where missing
	@tools/setup

demo: setup ## bring up the three-node cluster, walk the whole tutorial, take it down
	@$(PY) -m demo

up: setup ## bring up a three-node cluster in the foreground
	@.venv/bin/seamark up --nodes 3

down: ## take the default cluster down
	@.venv/bin/seamark down

test: setup ## run all tests
	@$(PYTEST)

test-fixtures: setup ## the codecs against every fixture of the published k8s.io/api module (needs Go)
	@SEAMARK_API_MODULE=$$(cd / && go mod download -json k8s.io/api@v0.36.3 | sed -n 's/.*"Dir": "\(.*\)".*/\1/p') \
		$(PYTEST) tests/api/test_fixtures.py

test-net: setup ## only the tests that make network namespaces
	@$(PYTEST) -m net

test-kubectl: setup ## nine versions of kubectl, every command judged by what it prints; writes docs/kubectl.md
	@$(PY) -m conformance.kubectl

soak-proxy: setup ## a minute of 200 changes a second under clients that connect all the time, and a minute without API server: no connection may fail
	@SEAMARK_SOAK_SECONDS=60 $(PY) -m pytest -q tests/proxy/test_faults.py -k soak
	@SEAMARK_AWAY_SECONDS=60 $(PY) -m pytest -q tests/cli/test_proxy_faults.py -k away

test-vm: setup ## the service proxy in mode ipvs, and SCTP in every mode, under Debian's kernel in a virtual machine without acceleration (8 minutes)
	@tools/kernel-vm tests/scenarios/test_scenarios.py tests/proxy/test_ipvs_kernel.py tests/proxy/test_crashes.py \
		tests/cli/test_proxy_faults.py -k "kernel and (ipvs or sctp) or ipvs and (killed or cleanup)"

test-vm-nft: setup ## the same in mode nftables, whole (9 minutes); KERNEL_DIR=... for another kernel
	@tools/kernel-vm tests/scenarios/test_scenarios.py tests/proxy/test_proxy.py tests/proxy/test_connections.py \
		tests/proxy/test_ipv6.py -k "not scenarios or kernel and nftables"

test-dns-attached: setup ## docs/replace-coredns.md, followed against a kube-apiserver (needs Go; 4 minutes)
	@SEAMARK_PEERS=1 $(PY) -m pytest -n 0 tests/client/test_informer_attached.py tests/dns/test_replace_coredns.py

test-proxy-attached: setup ## docs/replace-kube-proxy.md, followed from kube-proxy and back on a kube-apiserver (needs Go, root)
	@SEAMARK_PEERS=1 $(PY) -m pytest -n 0 tests/proxy/test_replace_kube_proxy.py

test-controllers-attached: setup ## docs/replace-controllers.md: controllers and scheduler on a kube-apiserver (needs Go)
	@SEAMARK_PEERS=1 $(PY) -m pytest -n 0 tests/controllers/test_attached.py

test-helm: setup ## Helm 3 and 4 install, upgrade, roll back, test and remove a chart; writes docs/helm.md
	@$(PY) -m conformance.helm

conformance-api: setup ## kube-controller-manager, kube-proxy and CoreDNS on this API (needs Go); writes docs/conformance-peers.md
	@$(PY) -m conformance.peers

conformance-suite: setup ## Kubernetes' own tests of the API that need no node (needs Go); writes docs/conformance-api.md
	@$(PY) -m conformance.suite

conformance-dns: setup ## ask this DNS server and CoreDNS the same questions and compare (needs Go; 6 minutes), API=kube-apiserver over that one; writes docs/conformance-dns.md
	@$(PY) -m conformance.dns --api $(or $(API),seamark)

conformance-network: setup ## run the network tests of Kubernetes' own suite (needs Go); SET=all runs further groups
	@$(PY) -m conformance.network --set $(or $(SET),conformance)

conformance-proxy: setup ## the scenarios' flows on each proxy mode and on kube-proxy (needs Go, root; 3 minutes); writes docs/conformance-proxy.md
	@$(PY) -m conformance.proxy

conformance: conformance-proxy ## another name of it

bench-pods: setup ## how long pods take, what they cost at rest and what 200 of them leave behind (6 minutes, root)
	@.venv/bin/python bench/pods.py

bench-proxy: setup ## the service proxy beside kube-proxy in modes nftables and iptables (needs Go, root; 8 minutes); LONG=1: 10 000 Services
	@$(PY) -m bench.proxy_beside $(if $(LONG),--long)

bench-dns: setup ## CPU a query of the DNS beside CoreDNS: names of the cluster, denied, cached, forwarded (needs Go, dnsperf; 3 minutes)
	@$(PY) -m bench.dns_beside

lint: setup ## ruff and the import contracts
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports

type: setup ## mypy, strict
	@.venv/bin/mypy

format: setup ## rewrite to the house format
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

clean: ## remove the virtual environment and caches
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
