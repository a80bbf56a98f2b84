// Child processes that end with the test.

package e2e_test

import "syscall"

// endWithParent lets a node end even if the test's process is killed.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
