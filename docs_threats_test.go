// The table of attacks: each has a test.

package wechatauth_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	threatDocs = []string{"docs/security.md", "docs/security.zh-CN.md"}
	threatMark = regexp.MustCompile(`^// Threats: ((?:[TCF]\d\d, )*[TCF]\d\d)\.$`)
	threatRow  = regexp.MustCompile(`^\| ([TCF]\d\d) \|`)
)

// threatTests are the tests of a row, as links.
type threatTests struct{ caddy, parts []string }

// Every row of the table has a test at a started Caddy, and every mark of a test has a row.
func TestThreats(t *testing.T) {
	t.Parallel()
	marked := readThreatMarks(t)
	var want []string
	for kind, last := range map[string]int{"T": 99, "C": 52, "F": 20} {
		for n := range last {
			want = append(want, fmt.Sprintf("%s%02d", kind, n+1))
		}
	}
	for _, doc := range threatDocs {
		var rows, lines []string
		for line := range strings.SplitSeq(readText(t, doc), "\n") {
			if m := threatRow.FindStringSubmatch(line); m != nil {
				rows = append(rows, m[1])
				line = withThreatTests(t, doc, line, marked[m[1]])
			}
			lines = append(lines, line)
		}
		sameNames(t, doc+": rows", rows, want)
		text := strings.Join(lines, "\n")
		if *update {
			writeText(t, doc, text)
		}
		if text != readText(t, doc) {
			t.Errorf("%s: the columns of tests are not those of the marks: run go test . -run Threats -update", doc)
		}
	}
	for row, tests := range marked {
		if !slices.Contains(want, row) {
			t.Errorf("%v: there is no row %s", tests, row)
		}
	}
}

// withThreatTests returns a row with its tests.
func withThreatTests(t *testing.T, doc, line string, tests *threatTests) string {
	t.Helper()
	cells := strings.Split(line, "|")
	if len(cells) != 7 || strings.TrimSpace(cells[2]) == "" || strings.TrimSpace(cells[5]) == "" {
		t.Fatalf("%s: got %q, want five cells, with attack and answer", doc, line)
	}
	row := strings.TrimSpace(cells[1])
	// Some of what reviews found needs other clocks, or a fault inside.
	if tests == nil || len(tests.caddy) == 0 && !strings.HasPrefix(row, "F") {
		t.Errorf("%s: %s has no test at a started Caddy: add one, with // Threats: %s. in its comment", doc, row, row)
		tests = cmp.Or(tests, new(threatTests))
	}
	for i, links := range [][]string{tests.caddy, tests.parts} {
		slices.Sort(links)
		cells[3+i] = " " + cmp.Or(strings.Join(links, ", "), "–") + " "
	}
	return strings.Join(cells, "|")
}

// readThreatMarks returns what the comments of all tests name.
func readThreatMarks(t *testing.T) map[string]*threatTests {
	t.Helper()
	marked := map[string]*threatTests{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "node_modules" || name == "testdata" || len(name) > 1 && name[0] == '.') {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		addThreatMarks(t, marked, filepath.ToSlash(path), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return marked
}

func addThreatMarks(t *testing.T, marked map[string]*threatTests, path string, file *ast.File) {
	t.Helper()
	folder := filepath.ToSlash(filepath.Dir(path))
	counted := 0
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Doc == nil || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") && !strings.HasPrefix(f.Name.Name, "Fuzz") {
			continue
		}
		m := threatMark.FindStringSubmatch(f.Doc.List[len(f.Doc.List)-1].Text)
		if m == nil {
			continue
		}
		counted++
		shown := filepath.Base(folder)
		if folder == "." {
			shown = "wechatauth"
		}
		link := fmt.Sprintf("[%s.%s](../%s)", shown, f.Name.Name, path)
		for row := range strings.SplitSeq(m[1], ", ") {
			tests := cmp.Or(marked[row], new(threatTests))
			if marked[row] = tests; folder == "attack" || folder == "e2e" {
				tests.caddy = append(tests.caddy, link)
			} else {
				tests.parts = append(tests.parts, link)
			}
		}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "// Threats:") {
				counted--
			}
		}
	}
	if counted != 0 {
		t.Errorf("%s: a mark is not the last line of a test's comment, or not as // Threats: T01, C02.", path)
	}
}
