// What the backend of a site gets of a user.

package wechatauth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/sidecar"
)

// example is a made-up user who has everything that WeChat can give.
var example = jwt.Claims{
	OpenID: "o-example-openid-0123456789a", UnionID: "o-example-unionid-0123456789", AppID: "wx0123456789abcdef",
	Phone: "138****8000", PhoneNumber: "+86138****8000", PhoneNumberVerified: true, Nickname: "小明",
	SID: "example-session", Picture: "/auth/avatar/0123.jpg",
}

// upstream shows the headers that the backend of a site gets with the request of a user.
func (d *doctor) upstream(p place) {
	h := p.handler
	headers, err := sidecar.IdentityHeaders(orDefault(h.Headers, defaultHeaders), h.ExtraHeaders, &example)
	if err != nil {
		return // Caddy does not start with it, and says why
	}
	var lines []string
	for name, values := range headers {
		if strings.HasPrefix(name, "X-Wx-") {
			name = strings.ToUpper(name) // as the documents write them
		}
		lines = append(lines, name+": "+values[0])
	}
	for _, extra := range h.ExtraHeaders {
		if _, ok := example.Value(extra.Claim); !ok {
			lines = append(lines, extra.Name+": <"+extra.Claim+">, where the hook gives it")
		}
	}
	slices.Sort(lines)
	if len(lines) == 0 {
		lines = []string{"no header about the user"}
	}
	if h.Authorization != "strip" {
		lines = append(lines, "Authorization: Bearer <access token>")
	}
	d.check(checkUpstream, levelOK, true, "the backend of %s gets of a made-up user: %s", p.name(), strings.Join(lines, "; "))
}

// name is the site's hosts, or the server's addresses, and base_path.
func (p place) name() string {
	hosts := p.server.Listen
	for _, s := range p.steps {
		for _, m := range s.match {
			if len(m.Host) > 0 {
				hosts = m.Host
			}
		}
	}
	return fmt.Sprint(strings.Join(hosts, ", "), cmp.Or(p.handler.BasePath, defaultBasePath))
}
