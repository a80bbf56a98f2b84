// The bytes of an account without its sessions.

package redisstore

import (
	"encoding/binary"
	"slices"

	"github.com/caddy-wechat/wechatauth/session"
)

// packUser returns an account without its sessions. New fields go to the end.
func packUser(a *session.Account) []byte {
	var p packer
	p.number(a.Generation)
	u := &a.User
	if u.UserID == (session.UserID{}) && a.Ban == nil && a.Withdrawals == 0 {
		return p.out
	}
	p.text(u.AppID)
	p.text(u.OpenID)
	p.text(u.UnionID)
	p.number(millis(u.FirstSeen))
	p.text(u.Phone)
	p.text(u.PhoneNumber)
	p.number(millis(u.PhoneVerified))
	p.text(u.Nickname)
	p.text(u.Avatar)
	p.text(string(u.Key))
	p.number(millis(u.KeySince))
	p.text(string(u.PreviousKey))
	p.number(millis(a.LastLogin))
	switch {
	case a.Ban != nil:
		p.number(1)
		p.text(a.Ban.Reason)
		p.number(millisUp(a.Ban.Until))
	case a.Withdrawals != 0:
		p.number(0)
	}
	if a.Withdrawals != 0 {
		p.number(a.Withdrawals)
	}
	return p.out
}

func (r *store) encodeUser(key string, a *session.Account) ([]byte, error) {
	return r.seal.seal(place(key, userField), packUser(a))
}

// decodeUser reads an account without its sessions.
func (r *store) decodeUser(key, stored string) (a session.Account, err error) {
	raw, err := r.seal.open(place(key, userField), stored)
	if err != nil {
		return session.Account{}, err
	}
	p := unpacker{in: raw}
	a.Generation = p.number()
	a.User = session.User{
		UserID:  session.UserID{AppID: p.text(), OpenID: p.text()},
		UnionID: p.text(), FirstSeen: timeOf(p.number()),
		Phone: p.text(), PhoneNumber: p.text(), PhoneVerified: timeOf(p.number()),
		Nickname: p.text(), Avatar: p.text(),
		Key: p.bytes(), KeySince: timeOf(p.number()), PreviousKey: p.bytes(),
	}
	a.LastLogin = timeOf(p.number())
	if p.number() == 1 {
		a.Ban = &session.Ban{Reason: p.text(), Until: timeOf(p.number())}
	}
	a.Withdrawals = p.number()
	if p.bad {
		return session.Account{}, &Error{Cause: BadRecord}
	}
	return a, nil
}

// packer writes values after one another.
type packer struct{ out []byte }

func (p *packer) number(n int64) { p.out = binary.AppendVarint(p.out, n) }

func (p *packer) text(s string) {
	p.out = append(binary.AppendUvarint(p.out, uint64(len(s))), s...)
}

// unpacker is the inverse of packer. Values that are missing at the end are zero.
type unpacker struct {
	in  []byte
	bad bool
}

func (p *unpacker) number() int64 {
	n, size := binary.Varint(p.in)
	p.skip(size)
	return n
}

func (p *unpacker) text() string { return string(p.bytes()) }

// bytes returns nil for an empty value.
func (p *unpacker) bytes() []byte {
	n, size := binary.Uvarint(p.in)
	p.skip(size)
	if n == 0 || n > uint64(len(p.in)) {
		p.bad = p.bad || n > 0
		return nil
	}
	value := slices.Clone(p.in[:n])
	p.in = p.in[n:]
	return value
}

func (p *unpacker) skip(size int) {
	if size <= 0 && len(p.in) > 0 {
		p.bad, size = true, len(p.in)
	}
	p.in = p.in[max(size, 0):]
}
