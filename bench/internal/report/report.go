// Package report writes what was measured as tables in both languages of the documentation.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Text is one thing said in English and in Chinese.
type Text [2]string

// Same is a text that needs no translation.
func Same(format string, args ...any) Text {
	s := fmt.Sprintf(format, args...)
	return Text{s, s}
}

// Table is a heading and rows of as many cells.
type Table struct {
	Head []Text
	Rows [][]Text
}

// Documents are the two that Replace writes to, by language.
var Documents = [2]string{"docs/performance.md", "docs/performance.zh-CN.md"}

// Markdown writes the table in a language.
func (t Table) Markdown(language int) string {
	var b strings.Builder
	line := func(row []Text) {
		for _, cell := range row {
			b.WriteString("| " + cell[language] + " ")
		}
		b.WriteString("|\n")
	}
	line(t.Head)
	b.WriteString(strings.Repeat("|---", len(t.Head)) + "|\n")
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}

// Write puts the parts between the marks <!-- name --> and <!-- /name --> of both documents, which are below
// the folder root.
func Write(root, name string, parts ...any) error {
	for language, document := range Documents {
		if err := replace(filepath.Join(root, document), name, Markdown(language, parts...)); err != nil {
			return err
		}
	}
	return nil
}

// Markdown joins tables and paragraphs in a language.
func Markdown(language int, parts ...any) string {
	var texts []string
	for _, part := range parts {
		switch part := part.(type) {
		case Table:
			texts = append(texts, part.Markdown(language))
		case Text:
			texts = append(texts, part[language]+"\n")
		}
	}
	return strings.Join(texts, "\n")
}

func replace(file, name, content string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), "<!-- "+name+" -->\n")
	_, after, closed := strings.Cut(rest, "<!-- /"+name+" -->\n")
	if !ok || !closed {
		return fmt.Errorf("%s has no lines <!-- %s --> and <!-- /%s -->", file, name, name)
	}
	text := before + "<!-- " + name + " -->\n\n" + content + "\n<!-- /" + name + " -->\n" + after
	return os.WriteFile(file, []byte(text), 0o644)
}

// Save keeps results for the next one who needs them, and Read reads them.
func Save(file string, results any) error {
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// Read reads what Save wrote.
func Read(file string, results any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, results)
}

// Median is the one in the middle; of two, the lesser.
func Median[T int | int64 | float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// Millis writes a duration in milliseconds, with three digits.
func Millis(d time.Duration) string { return Digits(float64(d)/float64(time.Millisecond)) + " ms" }

// Micros writes a duration in microseconds, with three digits.
func Micros(d time.Duration) string { return Digits(float64(d)/float64(time.Microsecond)) + " µs" }

// Bytes writes a size in MB of a million, or in GB from a thousand of them.
func Bytes(n float64) string {
	if n >= 1e9 {
		return Digits(n/1e9) + " GB"
	}
	return Digits(n/1e6) + " MB"
}

// Digits writes a number with three digits, and all of those before the point.
func Digits(v float64) string {
	switch {
	case v >= 99.95:
		return Thousands(int64(v + 0.5))
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Thousands writes 1234567 as 1,234,567.
func Thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
