// Child processes that end with the test.

package redistest

import "syscall"

// endWithParent lets a server end even if the test's process is killed.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
