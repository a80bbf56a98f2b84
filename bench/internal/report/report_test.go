package report_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

func TestWriteReplacesWhatIsBetweenTheMarks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "docs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, document := range report.Documents {
		text := "before\n<!-- other -->\n<!-- /other -->\n\n<!-- load -->\nold\n<!-- /load -->\nafter\n"
		if err := os.WriteFile(filepath.Join(root, document), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	table := report.Table{
		Head: []report.Text{{"Name", "名称"}, report.Same("p%d", 99)},
		Rows: [][]report.Text{{{"one", "一"}, report.Same("1 ms")}},
	}
	for range 2 {
		if err := report.Write(root, "load", table, report.Text{"Well.", "好。"}); err != nil {
			t.Fatal(err)
		}
	}
	for language, block := range []string{
		"| Name | p99 |\n|---|---|\n| one | 1 ms |\n\nWell.\n", "| 名称 | p99 |\n|---|---|\n| 一 | 1 ms |\n\n好。\n",
	} {
		got, err := os.ReadFile(filepath.Join(root, report.Documents[language]))
		if err != nil {
			t.Fatal(err)
		}
		want := "before\n<!-- other -->\n<!-- /other -->\n\n<!-- load -->\n\n" + block + "\n<!-- /load -->\nafter\n"
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := report.Write(root, "growth", table); err == nil {
		t.Error("a document without the marks: got no error")
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		report.Digits(0):                                        "0.00",
		report.Digits(9.994):                                    "9.99",
		report.Digits(9.996):                                    "10.0",
		report.Digits(99.96):                                    "100",
		report.Digits(1234567.8):                                "1,234,568",
		report.Thousands(999):                                   "999",
		report.Thousands(100_000):                               "100,000",
		report.Bytes(12_340_000):                                "12.3 MB",
		report.Bytes(1.5e9):                                     "1.50 GB",
		report.Millis(1500 * time.Microsecond):                  "1.50 ms",
		report.Micros(85_300 * time.Nanosecond):                 "85.3 µs",
		report.Micros(report.Median([]time.Duration{3e6, 1e6})): "1,000 µs",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
