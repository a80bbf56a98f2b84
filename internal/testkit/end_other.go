//go:build !linux

// Systems where a killed test leaves its processes behind.

package testkit

import "syscall"

func endWithParent() *syscall.SysProcAttr { return nil }
