// Rights of files, as Unix has them.

//go:build unix

package wechatauth

import (
	"os"
	"syscall"
)

// fileRights tells whether other users may use a file, and whether it is this process' user's.
func fileRights(info os.FileInfo) (others, owner bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode().Perm()&0o077 != 0, !ok || int(stat.Uid) == os.Geteuid()
}

// readableByAll tells whether users outside the file's group may read it.
func readableByAll(info os.FileInfo) bool { return info.Mode().Perm()&0o004 != 0 }
