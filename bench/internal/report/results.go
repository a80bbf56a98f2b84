package report

import "time"

// LoadFile is where the command load leaves its Load, for the command scale to reckon with.
const LoadFile = "bench/results/load.json"

// Load is what the command load has measured.
type Load struct {
	Machine    Text
	Proxied    []Proxied
	Operations []Operation
}

// Proxied is one way to stand between clients and a backend.
type Proxied struct {
	Name      Text
	Users     int
	PerSecond float64
	P50, P99  time.Duration
	CPU       time.Duration // per request
	Ratio     float64       // of CPU to the first with as many users; 0: not compared
}

// Operation is a login or the like.
type Operation struct {
	Name        string // login, phone, refresh, or request
	Store       string
	Delay       time.Duration // WeChat answers after this
	Connections int
	PerSecond   float64
	P50, P99    time.Duration
	CPU         time.Duration // of Caddy, for one
	RedisCPU    time.Duration // of Redis, for one
	Ratio       float64       // of CPU to that of one proxied request in the same round
}
