package main

import (
	"fmt"
	"strings"

	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

func (l latency) String() string { return report.Millis(l.P50) + ", " + report.Millis(l.P99) }

func growthTable(points []point, clients int) report.Table {
	t := report.Table{Head: []report.Text{
		{"Store", "存储"},
		{"Sessions", "会话数"},
		{"Start", "启动"},
		{"Memory of Caddy", "Caddy 的内存"},
		{"of these, pages of files", "其中文件页"},
		{"Refresh, one client: p50, p99", "刷新，一个客户端：p50、p99"},
		{fmt.Sprintf("%d clients: p50, p99", clients), fmt.Sprintf("%d 个客户端：p50、p99", clients)},
		{"Refreshes/s", "每秒刷新数"},
		{"File, or memory of Redis", "文件或 Redis 的内存"},
	}}
	for _, p := range points {
		var row []report.Text
		for _, cell := range []string{
			p.Store, report.Thousands(int64(p.Sessions)), report.Millis(p.Start), report.Bytes(float64(p.Memory)),
			report.Bytes(float64(p.FilePages)), p.Alone.String(), p.Together.String(), report.Thousands(int64(p.PerSecond)),
			report.Bytes(float64(p.Size)),
		} {
			row = append(row, report.Text{cell, inChinese(cell)})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func expiryTable(rows []expiry, clients int) report.Table {
	t := report.Table{Head: []report.Text{
		{"Store", "存储"},
		{"Sessions that stay", "留下的会话数"},
		{"that expire", "过期的会话数"},
		{"Records removed", "删除的记录数"},
		{"One client before: p50, p99", "一个客户端，之前：p50、p99"},
		{"meanwhile", "其间"},
		{fmt.Sprintf("%d clients before: p50, p99", clients), fmt.Sprintf("%d 个客户端，之前：p50、p99", clients)},
		{"meanwhile", "其间"},
	}}
	for _, e := range rows {
		var row []report.Text
		for _, cell := range []string{
			e.Store, report.Thousands(int64(e.Sessions)), report.Thousands(int64(e.Expiring)), report.Thousands(e.Removed),
			e.AloneBefore.String(), e.AloneDuring.String(), e.TogetherBefore.String(), e.TogetherDuring.String(),
		} {
			row = append(row, report.Text{cell, inChinese(cell)})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// inChinese lists values as Chinese does.
func inChinese(cell string) string { return strings.ReplaceAll(cell, ", ", "、") }
