.PHONY: default demo test race lint fmt fuzz bench measure cover golden smoke xcaddy snapshot

default: lint test

demo: # Caddy with the sandbox in place of WeChat
	go run ./cmd/caddy run --config Caddyfile.example

test:
	go test ./...

race:
	CGO_ENABLED=1 go test -race -shuffle=on ./...

lint:
	go vet ./...
	go tool -modfile=tools/go.mod golangci-lint run

fmt:
	go tool -modfile=tools/go.mod golangci-lint fmt

fuzz: # FUZZTIME=1m make fuzz
	bash scripts/fuzz.sh

bench: # what bench/baseline.txt has
	go test -run='^$$' -bench=. -benchmem ./bench

measure: # what docs/performance.md shows, on a machine that does nothing else
	bash bench/load.sh
	go run ./bench/scale

cover:
	go test -coverpkg=./... -coverprofile=cover.prof ./...
	go tool cover -func=cover.prof | tail -n 1

golden: # rewrite the expected files after an intended change
	go test . -run Adapt -update

smoke:
	mkdir -p dist
	go build -o dist/caddy ./cmd/caddy
	bash scripts/smoke.sh dist/caddy

xcaddy: # the production build; see xcaddy.md
	go tool -modfile=tools/go.mod xcaddy build v2.11.9 --with github.com/caddy-wechat/wechatauth@$$(bash scripts/version.sh)=.

snapshot: # what a release would have, in dist/; see docs/releases.md
	bash scripts/release.sh
	bash scripts/unpack.sh
