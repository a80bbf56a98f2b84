// Servers that stand still, where a process can be stopped.

//go:build unix

package redistest

import "syscall"

// Pause stops the server's process, so that it takes connections and does not answer.
func (s *Server) Pause() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }
