package servers

import "syscall"

// endWithParent makes the kernel send sig when the parent dies.
func endWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }
