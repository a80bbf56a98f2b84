//go:build !race

package avatar_test

const raceDetector = false
