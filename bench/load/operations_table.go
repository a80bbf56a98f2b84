package main

import (
	"fmt"

	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

// operationNames are what the table calls them.
var operationNames = map[string]report.Text{
	"login":   {"login", "登录"},
	"phone":   {"phone", "换取手机号"},
	"refresh": {"refresh", "刷新"},
	"request": {"one proxied request", "一个被转发的请求"},
}

// operationsTable is the table for the documentation.
func operationsTable(rows []report.Operation) report.Table {
	t := report.Table{Head: []report.Text{
		{"Operation", "操作"},
		{"Store", "存储"},
		{"WeChat answers in", "微信应答用时"},
		{"Connections", "连接数"},
		{"Operations/s", "每秒次数"},
		report.Same("p50"), report.Same("p99"),
		{"CPU of Caddy for one", "每次操作 Caddy 的 CPU"},
		{"of Redis", "Redis 的 CPU"},
		{"proxied requests that cost as much", "相当于多少个被转发的请求"},
	}}
	for _, o := range rows {
		store, wechat, redis, ratio := o.Store, "–", "–", "–"
		switch {
		case o.Name == "request":
			store = "–"
		case o.Name != "refresh":
			wechat = fmt.Sprintf("%d ms", o.Delay.Milliseconds())
		}
		if o.RedisCPU > 0 {
			redis = report.Micros(o.RedisCPU)
		}
		if o.Ratio > 0 {
			ratio = report.Digits(o.Ratio)
		}
		cells := []report.Text{operationNames[o.Name]}
		for _, cell := range []string{
			store, wechat, report.Thousands(int64(o.Connections)), report.Thousands(int64(o.PerSecond)), report.Millis(o.P50), report.Millis(o.P99),
			report.Micros(o.CPU), redis, ratio,
		} {
			cells = append(cells, report.Same("%s", cell))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}
