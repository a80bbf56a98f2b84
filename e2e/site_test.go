//go:build unix

// The site of the documents, built and read in Chromium.

package e2e_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// siteBase is a path as GitHub Pages has it, to see that no link forgets it.
const siteBase = "/wechatauth/"

const siteRepository = "https://github.com/caddy-wechat/wechatauth/blob/main/"

// The site has every page of docs/ in both languages and no link that leads nowhere. On a phone no
// page is too wide; the search finds English and Chinese; nothing is asked of another host.
func TestSite(t *testing.T) {
	t.Parallel()
	dist := buildSite(t)
	var pages []string
	for _, doc := range documents(t, "../docs") {
		name, isChinese := strings.CutSuffix(doc, ".zh-CN.md")
		page := strings.TrimSuffix(name, ".md") + ".html"
		if isChinese {
			page = "zh/" + page
		}
		if _, err := os.Stat(filepath.Join(dist, page)); err != nil {
			t.Errorf("docs/%s: %v; site/.vitepress/pages.mjs names the pages", doc, err)
		}
		pages = append(pages, page)
	}
	if len(pages) < 50 {
		t.Fatalf("got %d pages of docs/, want more", len(pages))
	}
	checkSiteLinks(t, dist)
	checkSiteForPrograms(t, dist)

	server := httptest.NewServer(http.StripPrefix(siteBase, http.FileServer(http.Dir(dist))))
	t.Cleanup(server.Close)
	var failures []string
	runBrowser(t, "site.mjs", map[string]string{
		"url": server.URL + siteBase, "pages": strings.Join(append(pages, "index.html", "zh/index.html"), " "),
		"screenshots": os.Getenv("WECHATAUTH_SCREENSHOTS"),
	}, &failures)
	for _, failure := range failures {
		t.Error(failure)
	}
}

// documents returns the names of the Markdown files of a folder.
func documents(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		names = append(names, filepath.Base(file))
	}
	return names
}

// buildSite builds the site from a copy of the documents and returns its folder.
func buildSite(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel("..", file)
		if entry.IsDir() {
			if slices.Contains([]string{"node_modules", ".git", "testdata", "dist", "cache", ".temp"}, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		wanted := slices.Contains([]string{".md", ".png", ".svg"}, path.Ext(name)) ||
			slices.Contains([]string{"llms.txt", "client/wechatauth.js"}, name) || strings.HasPrefix(name, "site/")
		if !wanted {
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		copied := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(copied), 0o700); err != nil {
			return err
		}
		return os.WriteFile(copied, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"npm", "ci", "--prefer-offline", "--ignore-scripts"}, {"npm", "run", "build"}} {
		program, err := exec.LookPath(args[0])
		if err != nil {
			t.Fatalf("this test runs %s, which is not installed: bash scripts/needs.sh installs it", args[0])
		}
		cmd := exec.CommandContext(t.Context(), program, args[1:]...)
		cmd.Dir, cmd.WaitDelay = filepath.Join(root, "site"), 5*time.Second
		cmd.Env = append(os.Environ(), "SITE_BASE="+siteBase)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return filepath.Join(root, "site", "dist")
}

// checkSiteLinks finds links between pages of the site whose page, file or anchor is not there.
func checkSiteLinks(t *testing.T, dist string) {
	t.Helper()
	link, anchor := regexp.MustCompile(`(?:href|src)="([^"]*)"`), regexp.MustCompile(` id="([^"]*)"`)
	anchors, links := map[string][]string{}, map[string][]string{}
	err := filepath.WalkDir(dist, func(file string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(file) != ".html" {
			return err
		}
		html, err := os.ReadFile(file)
		page := siteBase + strings.TrimPrefix(file, dist+"/")
		anchors[page] = []string{""}
		for _, m := range anchor.FindAllStringSubmatch(string(html), -1) {
			anchors[page] = append(anchors[page], m[1])
		}
		for _, m := range link.FindAllStringSubmatch(string(html), -1) {
			links[page] = append(links[page], m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	checked, onGitHub := 0, false
	for page, found := range links {
		from := &url.URL{Path: page}
		for _, link := range found {
			to, err := from.Parse(strings.ReplaceAll(link, "&amp;", "&"))
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if file, ok := strings.CutPrefix(to.String(), siteRepository); ok {
				file, fragment, _ := strings.Cut(file, "#")
				if _, err := os.Stat(filepath.Join("..", file)); err != nil {
					t.Errorf("%s links to %s on GitHub, which is not in the repository", page, file)
				}
				onGitHub = onGitHub || fragment != ""
			}
			if to.Host != "" || to.Scheme != "" {
				continue
			}
			checked++
			target := to.Path
			if strings.HasSuffix(target, "/") {
				target += "index.html"
			}
			if ids, isPage := anchors[target]; isPage && !slices.Contains(ids, to.Fragment) {
				t.Errorf("%s links to %s: got anchors %q", page, link, ids)
			}
			if _, err := os.Stat(filepath.Join(dist, strings.TrimPrefix(target, siteBase))); err != nil || !strings.HasPrefix(target, siteBase) {
				t.Errorf("%s links to %s, which is not there", page, link)
			}
		}
	}
	if checked < 1000 {
		t.Errorf("got %d links, want more", checked)
	}
	if !onGitHub {
		t.Error("got no link to a heading of a file on GitHub, want that of README.md to CONTRIBUTING.md")
	}
}

// checkSiteForPrograms finds links of llms.txt and SKILL.md to files that the site does not serve.
func checkSiteForPrograms(t *testing.T, dist string) {
	t.Helper()
	link := regexp.MustCompile(`\]\(([^)#:]+)`)
	for _, name := range []string{"llms.txt", "SKILL.md"} {
		text, err := os.ReadFile(filepath.Join(dist, name))
		if err != nil {
			t.Fatal(err)
		}
		links := link.FindAllStringSubmatch(string(text), -1)
		if len(links) == 0 {
			t.Errorf("%s: got no links", name)
		}
		for _, m := range links {
			if _, err := os.Stat(filepath.Join(dist, m[1])); err != nil {
				t.Errorf("%s links to %s, which the site does not have", name, m[1])
			}
		}
	}
}
