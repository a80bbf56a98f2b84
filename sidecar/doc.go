// Package sidecar logs WeChat mini program users in and guards the handlers behind it, as plain
// net/http code.
//
// A request walks down: Site → guard, logins, sessions or profiles → authenticator → tokens → Keys
// and StoreHandle. What several sites share is made by the constructors here and given to New in
// Deps; who shares what, and for how long, is the caller's decision.
package sidecar
