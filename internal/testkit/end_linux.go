// Processes that end with their parent.

package testkit

import "syscall"

// endWithParent also gives the process a group of its own, for Apache ends the one it is in.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
