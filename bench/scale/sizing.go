package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

// What the sizing takes for granted. The documentation says so, and everybody has other numbers.
const (
	activeShare = 0.2 // of the users, on a day
	requests    = 50  // of an active user in a day
	logins      = 2   // likewise
	renewals    = 2   // likewise
	peak        = 4   // how much more than on average it is in the busiest hour
	kept        = 3   // sessions of a user at a time
	most        = 20  // max_per_user
	headroom    = 0.5 // of a processor that may be busy

	day = 86_400.0 // seconds
)

var userCounts = [2]float64{1e6, 100e6}

// sizing reckons machines from what was measured.
func sizing(r results, cost report.Load) (report.Table, error) {
	t := report.Table{Head: []report.Text{
		{"What", "项目"}, {"Arithmetic", "算式"}, {"1,000,000 users", "1,000,000 用户"}, {"100,000,000 users", "100,000,000 用户"},
	}}
	row := func(what, arithmetic report.Text, write func(float64) string, of func(users float64) float64) {
		cells := []report.Text{what, arithmetic}
		for _, users := range userCounts {
			cells = append(cells, report.Same("%s", write(of(users))))
		}
		t.Rows = append(t.Rows, cells)
	}
	rate := func(name report.Text, perDay float64) func(float64) float64 {
		of := func(users float64) float64 { return users * activeShare * perDay / day * peak }
		row(report.Text{name[0] + " a second, busiest hour", "最忙一小时的每秒" + name[1]},
			report.Text{
				fmt.Sprintf("users × %v × %v ÷ 86,400 × %v", activeShare, perDay, peak),
				fmt.Sprintf("用户数 × %v × %v ÷ 86,400 × %v", activeShare, perDay, peak),
			}, report.Digits, of)
		return of
	}
	perSecond := map[string]func(float64) float64{
		"request": rate(report.Text{"requests", "请求数"}, requests),
		"login":   rate(report.Text{"logins", "登录数"}, logins),
		"refresh": rate(report.Text{"refreshes", "刷新数"}, renewals),
	}

	c, err := costs(cost)
	if err != nil {
		return t, err
	}
	busy := func(name report.Text, of map[string]time.Duration) {
		var arithmetic [2][]string
		for _, each := range []struct {
			name string
			text report.Text
		}{{"request", report.Text{"requests", "请求"}}, {"login", report.Text{"logins", "登录"}}, {"refresh", report.Text{"refreshes", "刷新"}}} {
			for language := range arithmetic {
				if of[each.name] > 0 {
					arithmetic[language] = append(arithmetic[language], each.text[language]+" × "+report.Micros(of[each.name]))
				}
			}
		}
		row(name, report.Text{
			fmt.Sprintf("(%s) ÷ %v", strings.Join(arithmetic[0], " + "), headroom),
			fmt.Sprintf("(%s) ÷ %v", strings.Join(arithmetic[1], " + "), headroom),
		}, report.Digits, func(users float64) (sum float64) {
			for name, each := range of {
				sum += perSecond[name](users) * each.Seconds()
			}
			return sum / headroom
		})
	}
	busy(report.Text{"processors for Caddy", "Caddy 所需的处理器"}, c.caddy)
	busy(report.Text{"processors for Redis", "Redis 所需的处理器"}, c.redis)

	for _, store := range []struct {
		kind string
		name report.Text
	}{{"bolt", report.Text{"bolt file", "bolt 文件"}}, {"redis", report.Text{"memory of Redis", "Redis 的内存"}}} {
		first, ok := perSession(r.Points, store.kind)
		if !ok {
			return t, errors.New("bolt and redis have to be measured both")
		}
		further := r.Further[store.kind]
		for _, sessions := range []float64{kept, most} {
			row(report.Text{
				fmt.Sprintf("%s, %v sessions a user", store.name[0], sessions), fmt.Sprintf("%s，每用户 %v 个会话", store.name[1], sessions),
			}, report.Text{
				fmt.Sprintf("users × (%.0f + %v × %.0f) bytes", first, sessions-1, further),
				fmt.Sprintf("用户数 × (%.0f + %v × %.0f) 字节", first, sessions-1, further),
			}, report.Bytes, func(users float64) float64 { return users * (first + (sessions-1)*further) })
		}
	}
	return t, nil
}

// cost is what one of each takes of Caddy's and Redis' processors.
type cost struct{ caddy, redis map[string]time.Duration }

func costs(l report.Load) (c cost, err error) {
	c = cost{map[string]time.Duration{}, map[string]time.Duration{}}
	many := 0
	for _, p := range l.Proxied {
		if strings.Contains(p.Name[0], "`wechat_auth`, ES256") && p.Users > many {
			many = p.Users
			c.caddy["request"] = p.CPU
		}
	}
	for _, o := range l.Operations {
		if o.Store == "redis" && o.Delay == 0 && (o.Name == "login" || o.Name == "refresh") {
			c.caddy[o.Name], c.redis[o.Name] = o.CPU, o.RedisCPU
		}
	}
	if len(c.caddy) != 3 || len(c.redis) != 2 {
		return c, errors.New(report.LoadFile + " does not have what is needed")
	}
	return c, nil
}

// perSession is the bytes of a user with one session, where there are most of them.
func perSession(points []point, kind string) (bytes float64, ok bool) {
	for _, p := range points {
		if p.Store == kind {
			bytes, ok = float64(p.Size)/float64(p.Sessions), true
		}
	}
	return bytes, ok
}
