// The tables and links of the documents.

package wechatauth_test

import (
	"image/color"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth"
	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/sidecar"
)

// The tables of options name those of the golden files, with the defaults of the code.
func TestDocumentedOptions(t *testing.T) {
	t.Parallel()
	known, defaults := adaptedOptions(t), wechatauth.Defaults()
	for i, page := range options {
		for block, names := range known {
			doc := page
			if block == "push" {
				doc = []string{"docs/push.md", "docs/push.zh-CN.md"}[i]
			}
			table := findTable(t, doc, func(table [][]string) bool { return slices.Contains(codeSpans(table[0][0]), block) })
			var got []string
			for _, row := range table[1:] {
				name := strings.Fields(codeSpans(row[0])[0])[0]
				if !slices.Contains(got, name) {
					got = append(got, name)
				}
				if value := defaults[block+" "+name]; value != "" && !slices.Contains(codeSpans(row[1]), value) {
					t.Errorf("%s: %s %s: got default %s, want `%s`", doc, block, name, row[1], value)
				}
			}
			sameNames(t, doc+": options in "+block, got, names)
		}
	}
}

// adaptedOptions returns the options of each block that the golden files have: the parser takes all
// of them.
func adaptedOptions(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil {
		t.Fatal(err)
	}
	options := map[string][]string{}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "bad_") {
			continue
		}
		input, _, _ := strings.Cut(readText(t, file), adaptSeparator)
		var blocks []string
		for line := range strings.Lines(input) {
			words := strings.Fields(line)
			if len(words) == 0 || strings.HasPrefix(words[0], "#") {
				continue
			}
			if words[0] == "}" {
				blocks = blocks[:len(blocks)-1]
				continue
			}
			if len(blocks) > 0 && slices.Contains(blocks, "wechat_auth") {
				block := blocks[len(blocks)-1]
				if !slices.Contains(options[block], words[0]) {
					options[block] = append(options[block], words[0])
				}
			}
			if words[len(words)-1] == "{" {
				name := words[0]
				if name == "store" {
					name += " " + words[1]
				}
				blocks = append(blocks, name)
			}
		}
	}
	return options
}

// The table of errors is the one in the code.
func TestDocumentedErrors(t *testing.T) {
	t.Parallel()
	for _, doc := range apiDocs {
		table := findTable(t, doc, func(table [][]string) bool { return table[0][1] == "`error`" })
		var got []string
		for _, row := range table[1:] {
			got = append(got, row[0]+" "+codeSpans(row[1])[0])
		}
		sameNames(t, doc+": errors", got, sidecar.Errors())
	}
}

// The tables of what a backend receives name what a user with everything sends it.
func TestDocumentedIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.fake.NewUser(s.appID)
	a := s.do("POST", "/auth/phone", s.token(u), object("code", s.fake.PhoneCode(u, "13800138000")))
	want(t, a, 200, "")
	a = s.upload(a.text("access_token"), avatarOf(t, picture(t, 4, 4, color.White)), part{name: "nickname", content: []byte("n")})
	want(t, a, 200, "")
	token := a.text("access_token")
	s.do("GET", "/", token, "")
	var headers []string
	for name := range s.last().Header {
		if strings.HasPrefix(name, "X-Wx-") {
			headers = append(headers, strings.ToUpper(name))
		}
	}
	claimNames := jwt.Names()
	sameNames(t, "claims of a token", slices.Collect(maps.Keys(claims(t, token))), claimNames)

	for _, doc := range apiDocs {
		for first, known := range map[string][]string{"X-WX-OPENID": headers, "iss": claimNames} {
			table := findTable(t, doc, func(table [][]string) bool { return slices.Contains(codeSpans(table[1][0]), first) })
			var got []string
			for _, row := range table[1:] {
				got = append(got, codeSpans(row[0])...)
			}
			sameNames(t, doc+": table of "+first, got, known)
		}
		sameNames(t, doc+": placeholders", matches(t, doc, `\{(http\.[a-z_.]+)\}`), wechatauth.Placeholders)
	}
}

// The table of routes has every route, and CONTRIBUTING.md names every package that the tests install.
func TestDocumentedRoutesAndNeeds(t *testing.T) {
	t.Parallel()
	s := newSite(t, "token {\nissuer https://api.example.com/auth\n}", "service {\nsecret "+testSecret+"\n}") // what is not there always
	routes := wechatauth.Routes(s.handler)
	needs := matches(t, "scripts/needs.sh", `\n\t?need ([a-z0-9-]+) `)
	if len(needs) < 7 {
		t.Fatalf("got needs %v, want more", needs)
	}
	for _, doc := range apiDocs {
		table := findTable(t, doc, func(table [][]string) bool { return strings.Contains(table[1][0], "/auth/login") })
		var got []string
		for _, row := range table[1:] {
			_, path, _ := strings.Cut(codeSpans(row[0])[0], "/auth")
			if path, _, _ = strings.Cut(path, "<"); !slices.Contains(got, path) {
				got = append(got, path)
			}
		}
		sameNames(t, doc+": routes", got, routes)
	}
	const list = "CONTRIBUTING.md"
	for _, name := range needs {
		if !strings.Contains(readText(t, list), name) {
			t.Errorf("%s does not say that the tests install %s", list, name)
		}
	}
}

// Links within the repository lead somewhere, and each page to that in the other language at once.
func TestDocumentedLinks(t *testing.T) {
	t.Parallel()
	for _, doc := range allDocs {
		for _, link := range matches(t, doc, `\]\(([^)\s]+)\)`) {
			path, _, _ := strings.Cut(link, "#")
			if strings.HasPrefix(link, "https://") || path == "" {
				continue
			}
			target := filepath.Join(filepath.Dir(doc), filepath.FromSlash(path))
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", doc, link, err)
			}
		}
		for _, link := range matches(t, doc, `\]\(([^)\s]*#[^)\s]+)\)`) {
			path, heading, _ := strings.Cut(link, "#")
			if strings.HasPrefix(link, "https://") {
				continue
			}
			target := doc
			if path != "" {
				target = filepath.Join(filepath.Dir(doc), filepath.FromSlash(path))
			}
			if !slices.Contains(headings(t, target), heading) {
				t.Errorf("%s links to %s: got headings %v", doc, link, headings(t, target))
			}
		}
	}
	for _, pair := range languagePairs() {
		for i, doc := range pair {
			head := strings.SplitAfterN(readText(t, doc), "\n", 4)[:3]
			if other := "](" + filepath.Base(pair[1-i]) + ")"; !strings.Contains(strings.Join(head, ""), other) {
				t.Errorf("%s: got %q, want a link to the other language", doc, head)
			}
			if doc != readmes[i] && !slices.ContainsFunc(allDocs, func(from string) bool { return from != pair[1-i] && linksTo(t, from, doc) }) {
				t.Errorf("%s: got no link to it", doc)
			}
		}
	}
}

// linksTo reports whether a document has a link to another, or to a part of it.
func linksTo(t *testing.T, from, to string) bool {
	t.Helper()
	link, err := filepath.Rel(filepath.Dir(from), to)
	if err != nil {
		t.Fatal(err)
	}
	text := readText(t, from)
	return strings.Contains(text, "]("+filepath.ToSlash(link)+")") || strings.Contains(text, "]("+filepath.ToSlash(link)+"#")
}

// headings returns the names by which one links to a document's headings, as GitHub makes them.
func headings(t *testing.T, doc string) (names []string) {
	t.Helper()
	for _, title := range matches(t, doc, `(?m)^#+ (.+)$`) {
		kept := regexp.MustCompile(`[^\p{L}\p{M}\p{N}\p{Pc} -]`).ReplaceAllString(strings.ToLower(title), "")
		names = append(names, strings.ReplaceAll(kept, " ", "-"))
	}
	return names
}

// What the operations pages and those of the stores list is what the code has: stores, metrics, events and commands.
func TestDocumentedOperations(t *testing.T) {
	t.Parallel()
	const namespace = "http.handlers.wechat_auth.stores"
	var stores []string
	for _, module := range caddy.GetModules(namespace) {
		stores = append(stores, module.ID.Name())
	}
	metrics, events := wechatauth.MetricNames(t), sidecar.Events()
	for i, doc := range operations {
		for _, known := range [][]string{metrics, events, wechatauth.CommandNames()} {
			sameFirstColumn(t, doc, known)
		}
		sameFirstColumn(t, storeDocs[i], stores)
		wantNames(t, doc, events...)
		wantNames(t, storeDocs[i], namespace, "wechatauth.Store", "session.DB", "session.NewKVStore", "session.Store", "sessiontest.Run")
	}
}

// sameFirstColumn finds the table that begins with one of the names and compares its first column with all.
func sameFirstColumn(t *testing.T, doc string, known []string) {
	t.Helper()
	table := findTable(t, doc, func(table [][]string) bool { return slices.Contains(known, codeSpans(table[1][0])[0]) })
	var got []string
	for _, row := range table[1:] {
		got = append(got, codeSpans(row[0])[0])
	}
	sameNames(t, doc+": table of "+known[0], got, known)
}

func wantNames(t *testing.T, doc string, names ...string) {
	t.Helper()
	for _, name := range names {
		if !strings.Contains(readText(t, doc), "`"+name+"`") {
			t.Errorf("%s does not name %s", doc, name)
		}
	}
}

// The checklists name each thing that the doctor finds once, and nothing else.
func TestDocumentedDoctor(t *testing.T) {
	t.Parallel()
	for _, doc := range append([]string{"SECURITY.md", "SECURITY.zh-CN.md"}, operations...) {
		table := findTable(t, doc, func(table [][]string) bool {
			return slices.Contains(wechatauth.DoctorChecks(), codeSpans(table[1][0])[0])
		})
		var got []string
		for _, row := range table[1:] {
			got = append(got, codeSpans(row[0])...)
		}
		sameNames(t, doc+": the doctor's checks", got, wechatauth.DoctorChecks())
	}
}

// readTables returns the tables of a document, each with its heading as the first row.
func readTables(t *testing.T, doc string) (tables [][][]string) {
	t.Helper()
	inside := false
	for line := range strings.SplitSeq(readText(t, doc), "\n") {
		row, isRow := strings.CutPrefix(line, "| ")
		switch {
		case isRow:
			row = strings.ReplaceAll(strings.TrimSuffix(row, "|"), `\|`, "\x00")
			var cells []string
			for cell := range strings.SplitSeq(row, "|") {
				cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), "\x00", "|"))
			}
			if !inside {
				tables = append(tables, nil)
			}
			tables[len(tables)-1] = append(tables[len(tables)-1], cells)
			inside = true
		case !strings.HasPrefix(line, "|---"):
			inside = false
		}
	}
	return tables
}

func findTable(t *testing.T, doc string, is func([][]string) bool) [][]string {
	t.Helper()
	for _, table := range readTables(t, doc) {
		if len(table) > 1 && is(table) {
			return table
		}
	}
	t.Fatalf("%s has not the table looked for", doc)
	return nil
}

func codeSpans(cell string) (spans []string) {
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		spans = append(spans, m[1])
	}
	return append(spans, make([]string, max(0, 1-len(spans)))...) // at least one, so that the first can be asked for
}

// matches returns what a pattern's group finds in a file, each once.
func matches(t *testing.T, file, pattern string) (found []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(readText(t, file), -1) {
		if !slices.Contains(found, m[1]) {
			found = append(found, m[1])
		}
	}
	return found
}

// sameNames compares two lists regardless of order.
func sameNames(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// The sizing counts with the figures that the tables above it have.
func TestDocumentedSizing(t *testing.T) {
	t.Parallel()
	cpu := regexp.MustCompile(`\| (\d+) µs \| [\d.]+ × \|`)
	file := regexp.MustCompile(`\| ([\d,]+) MB[,、]`)
	sizing := regexp.MustCompile(`\(\S+ × (\d+) µs \+ \S+ × (\d+) µs \+ \S+ × (\d+) µs\) ÷ 0\.5 \| ([\d.]+) \| (\d+) \|\n[^\n]*× ([\d.]+) KB`)
	for _, doc := range inBoth("docs/performance") {
		text := readText(t, doc)
		rows, size, got := cpu.FindAllStringSubmatch(text, 8), file.FindStringSubmatch(text), sizing.FindStringSubmatch(text)
		if len(rows) != 8 || size == nil || got == nil {
			t.Fatalf("%s: a table is not found", doc)
		}
		// Of the first table: ES256, login, refresh.
		want := []string{rows[2][1], rows[6][1], rows[7][1]}
		guard, login, refresh := number(t, want[0]), number(t, want[1]), number(t, want[2])
		for _, users := range []float64{1e6, 1e8} {
			busiest := users * 0.2 / 86_400 * 4 / 1e6 // µs a second are a millionth of a processor
			want = append(want, strconv.FormatFloat((50*guard+2*login+2*refresh)*busiest/0.5, 'g', 2, 64))
		}
		want = append(want, strconv.FormatFloat(number(t, strings.ReplaceAll(size[1], ",", ""))/1000, 'f', 2, 64))
		if !slices.Equal(got[1:], want) {
			t.Errorf("%s: got %q, want %q", doc, got[1:], want)
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
