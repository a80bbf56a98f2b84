//go:build unix && !linux

// Child processes where the system cannot end them with their parent.

package redistest

import "syscall"

// endWithParent is only there on Linux; elsewhere a killed test leaves its servers behind.
func endWithParent() *syscall.SysProcAttr { return nil }
