//go:build !race

// The race detector is off.

package testkit

// Race says that the race detector is on, which costs memory of its own.
const Race = false
