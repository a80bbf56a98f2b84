//go:build !linux

package lab

import "syscall"

// endWithParent is only there on Linux; elsewhere a killed measurement leaves its processes behind.
func endWithParent() *syscall.SysProcAttr { return nil }
