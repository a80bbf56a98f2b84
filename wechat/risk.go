// The risk rank of a user.

package wechat

import (
	"context"
	"net/http"
	"net/netip"
)

// MaxRisk is the highest risk rank, of users whom WeChat advises to keep out.
const MaxRisk = 4

// RiskScene is the occasion on which a rank is asked for.
type RiskScene int

// The scenes. WeChat has a third, for texts that users write.
const (
	RiskRegister  RiskScene = 0 // an account begins, or is used again
	RiskMarketing RiskScene = 1 // something is given away
)

// UserRisk asks WeChat how likely a user is a fraud: 0 is not, 1 and 2 deserve another proof, 3
// little trust, 4 none. clientIP is the user's address. The user must have been active in the last
// two hours ([ClassInactive]), as one who just logged in is.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/sec-center/safety-control-capability/api_getuserriskrank.html
func (c *Client) UserRisk(ctx context.Context, openid, clientIP string, scene RiskScene) (rank int, err error) {
	if err := checkOpenID(OpUserRisk, openid); err != nil {
		return 0, err
	}
	addr, err := netip.ParseAddr(clientIP)
	if err != nil {
		return 0, &Error{Op: OpUserRisk, Class: ClassConfig, Reason: "the user's address is not known, and WeChat was not asked: does a proxy " +
			"in front name it, and is that in trusted_proxies?"}
	}
	body, err := encode(struct {
		AppID    string    `json:"appid"`
		OpenID   string    `json:"openid"`
		Scene    RiskScene `json:"scene"`
		ClientIP string    `json:"client_ip"`
	}{c.appID, openid, scene, addr.Unmap().WithZone("").String()})
	if err != nil {
		return 0, unavailable(OpUserRisk, "the request could not be made")
	}
	a, err := c.business(ctx, request{
		op:     OpUserRisk,
		method: http.MethodPost,
		path:   "/wxa/getuserriskrank",
		body:   body,

		signable: true,
		spare:    true,
	})
	if err != nil {
		return 0, err
	}
	n, ok := a.integer("risk_rank")
	if !ok || n < 0 || n > MaxRisk {
		return 0, badAnswer(OpUserRisk, "risk_rank is missing or not from 0 to 4")
	}
	return int(n), nil
}
