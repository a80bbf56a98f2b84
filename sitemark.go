// What tells a site's sessions and answers from those of other sites that share an app and a store.

package wechatauth

import (
	"github.com/caddy-wechat/wechatauth/session"
)

// markSite computes the mark of the site's sessions: what the site grants on its own authority. Answers are
// told apart by everything that may differ in them.
func (h *Handler) markSite() {
	address := ""
	if h.hook != nil {
		address = h.hook.url
	}
	h.mark = session.NewSite(append([]string{h.issuer.Name, address, h.state.instance}, h.issuer.Audience...)...)
	h.site = poolKey("site", []any{h.mark, h.Token, h.storeID, h.Hook, h.Profile.Check, h.EncryptedData, h.base})
	h.warnOfOthers()
}

// isForeign reports whether a session was made by another site, or by a store that is no more. A name that
// is none of ours is that of a token somebody else made with a key of this site.
func (h *Handler) isForeign(sid session.SID) bool {
	_, site, ok := sid.Parse()
	return ok && site != h.mark
}

// warnOfOthers logs that two sites of a configuration share keys, issuer, audience and store, and yet ask
// different things of users: their sessions look alike to every backend that verifies tokens itself.
func (h *Handler) warnOfOthers() {
	v := &h.verifier
	accepts := poolKey("accepts", []any{v.Issuer, v.Audience, v.AppIDs, v.TTL, h.storeID, h.keys.source()})
	asks := poolKey("asks", []any{h.Hook, h.Profile.Check})
	if other, ok := h.opener.sites[accepts]; !ok {
		h.opener.sites[accepts] = asks
	} else if other != asks {
		h.logger.Warn("two sites share apps, store and token block, but differ in hook or profile check: " +
			"a backend that verifies tokens can't tell their users apart; give each site an issuer of its own")
	}
}
