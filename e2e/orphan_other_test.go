//go:build unix && !linux

package e2e_test

import "syscall"

// endWithParent is only there on Linux; elsewhere a killed test leaves its nodes behind.
func endWithParent() *syscall.SysProcAttr { return nil }
