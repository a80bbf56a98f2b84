// What leads to the documents: the site's menu, llms.txt and SKILL.md.

package wechatauth_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The site's menu and llms.txt have every page of docs/.
func TestDocumentsAreListed(t *testing.T) {
	t.Parallel()
	const menu = "site/.vitepress/pages.mjs"
	listed := matches(t, menu, `doc\('([a-z-]+)'`)
	linked := matches(t, "llms.txt", `\]\(docs/([a-z-]+)\.md\)`)
	var pages []string
	for _, doc := range found("docs/*.md") {
		name := strings.TrimSuffix(strings.TrimPrefix(doc, "docs/"), ".md")
		if !strings.HasSuffix(name, ".zh-CN") {
			pages = append(pages, name)
		}
	}
	sameNames(t, menu, listed, pages)
	sameNames(t, "llms.txt", linked, pages)
}

// llms.txt has the form of llmstxt.org: a heading, a summary as a quotation, text, and sections of
// links with a sentence each.
func TestLLMsText(t *testing.T) {
	t.Parallel()
	lines := slices.DeleteFunc(strings.Split(readText(t, "llms.txt"), "\n"), func(line string) bool { return line == "" })
	if !strings.HasPrefix(lines[0], "# ") || !strings.HasPrefix(lines[1], "> ") {
		t.Errorf("got %q and %q, want a heading and a quotation", lines[0], lines[1])
	}
	link := regexp.MustCompile(`^- \[[^]]+\]\([^)]+\): .+$`)
	inSection, sections := false, 0
	for _, line := range lines[2:] {
		switch {
		case strings.HasPrefix(line, "## "):
			inSection = true
			sections++
		case inSection && !link.MatchString(line) || !inSection && strings.HasPrefix(line, "#"):
			t.Errorf("got %q, want a link with a sentence", line)
		}
	}
	if sections < 3 {
		t.Errorf("got %d sections, want more", sections)
	}
}

// SKILL.md begins with what an assistant reads to decide whether it needs the rest, and is one page.
func TestSkillHead(t *testing.T) {
	t.Parallel()
	text := readText(t, "SKILL.md")
	head := regexp.MustCompile(`^---\nname: ([a-z0-9-]{1,64})\ndescription: ([^\n]+)\n---\n\n# `).FindStringSubmatch(text)
	if head == nil || len(head[2]) > 1024 {
		t.Errorf("got %q, want a name and a description of 1024 bytes at most", text[:min(len(text), 300)])
	}
	if len(text) > 8<<10 {
		t.Errorf("got %d bytes, want one page, 8 KiB at most", len(text))
	}
}

// The Chinese documents and the playground have one word for one thing: token stays English, as in code.
func TestChineseTerms(t *testing.T) {
	t.Parallel()
	instead := map[string]string{"令牌": "token", "登出": "退出登录", "守卫": "鉴权", "预写日志": "WAL", "吊销": "作废", "沙箱": "模拟的微信", "「": "“"}
	files := []string{"sandbox/playground/i18n.js"}
	for _, pair := range languagePairs() {
		files = append(files, pair[1])
	}
	for _, file := range files {
		for word, better := range instead {
			if strings.Contains(readText(t, file), word) {
				t.Errorf("%s: got %s, want %s", file, word, better)
			}
		}
	}
}

// A line that ends with a Chinese character is joined with the next, or the page has a space within the sentence.
func TestChineseLinesAreJoined(t *testing.T) {
	t.Parallel()
	split := regexp.MustCompile(`[\p{Han}，。、：；！？（）《》“”]\n *[\p{Han}（《“]`)
	for _, pair := range languagePairs() {
		text := regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(readText(t, pair[1]), "")
		for _, at := range split.FindAllString(text, -1) {
			t.Errorf("%s: got a line break in %q, want one line", pair[1], at)
		}
	}
}
