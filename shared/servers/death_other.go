//go:build !linux

package servers

import "syscall"

// endWithParent does nothing where the kernel has no such signal: after a
// kill -9 the servers stay, and the next start waits for them to be stopped.
func endWithParent(*syscall.SysProcAttr, syscall.Signal) {}
