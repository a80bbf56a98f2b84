// WeChat's risk rank of a user, asked for at login and phone.

package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	// riskClaim is the claim that has the rank. A hook can't give it.
	riskClaim = "risk_rank"

	// riskTime bounds the wait for a rank: a user waits meanwhile, and gets in without one, too.
	riskTime = 2 * time.Second

	// codeNotGranted is WeChat's errcode for an app that may not ask.
	codeNotGranted = 48001
)

var errRisky = entry(403, "denied", "WeChat sees too high a risk in this user")

// RiskConfig describes what a risk rank is good for. Deny is the lowest rank that is kept out; 0: WeChat is not asked.
type RiskConfig struct{ Deny int }

// Check returns an error for what is no rank.
func (c RiskConfig) Check() error {
	if c.Deny < 0 || c.Deny > wechat.MaxRisk {
		return fmt.Errorf("risk deny %d: write a rank from 1 to %d", c.Deny, wechat.MaxRisk)
	}
	return nil
}

// askRisk returns the risk rank of a user, nil where there is none: an outage of WeChat keeps nobody
// out, and neither does a user's inactivity.
func (l *logins) askRisk(ctx context.Context, app *App, openID, clientIP string) (*int, error) {
	if l.risk.Deny == 0 || app.riskOff.Load() {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, riskTime)
	defer cancel()
	rank, err := app.client.UserRisk(ctx, openID, clientIP, wechat.RiskRegister)
	if we, ok := errors.AsType[*wechat.Error](err); ok && we.Code == codeNotGranted {
		if !app.riskOff.Swap(true) {
			l.log.Warn("WeChat gives this mini program no risk ranks, so nobody is asked for until the next start; open 用户风控 in the "+
				"console (安全中心), or take risk out", slog.String("appid", app.id), slog.Int("errcode", we.Code))
		}
		return nil, nil
	}
	app.note(wechat.OpUserRisk, err, l.log)
	switch {
	case err != nil:
		return nil, nil
	case rank >= l.risk.Deny:
		return nil, errRisky
	}
	return &rank, nil
}

// withRisk returns claims with the rank, if there is one.
func withRisk(claims map[string]any, rank *int) map[string]any {
	if rank == nil {
		return claims
	}
	return addClaims(claims, map[string]any{riskClaim: *rank})
}

// keepRisk returns the claims that a hook gives to a session that goes on, with its rank.
func keepRisk(claims, session map[string]any) map[string]any {
	rank, known := session[riskClaim]
	if !known {
		return claims
	}
	return addClaims(claims, map[string]any{riskClaim: rank})
}
