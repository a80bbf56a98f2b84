// Rights of files, where they are not those of Unix.

//go:build !unix

package wechatauth

import "os"

// fileRights finds nothing wrong: access control lists are not looked at.
func fileRights(os.FileInfo) (others, owner bool) { return false, true }

// readableByAll finds nothing wrong either.
func readableByAll(os.FileInfo) bool { return false }
