// Package client holds the mini program's half of wechat_auth, for Go programs that serve it.
package client

import _ "embed" // for the script

// Name is the file name of the script.
const Name = "wechatauth.js"

// Script is the client that a mini program copies.
//
//go:embed wechatauth.js
var Script []byte
