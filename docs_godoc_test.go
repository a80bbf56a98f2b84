// What pkg.go.dev and Caddy's site show: comments of exported names, and of configuration fields.

package wechatauth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every package begins with an overview, and every exported name says what it is, with the fields and methods that
// others can reach.
func TestDocumentedNames(t *testing.T) {
	t.Parallel()
	set, packages := parsePackages(t)
	for dir, files := range packages {
		overview := false
		for _, file := range files {
			overview = overview || strings.HasPrefix(file.Doc.Text(), "Package ") || file.Name.Name == "main" && file.Doc != nil
			for _, name := range undocumented(set, file) {
				t.Errorf("%s: %s has no comment", dir, name)
			}
		}
		if !overview {
			t.Errorf("%s has no overview", dir)
		}
	}
}

// Caddy's site makes its manual of the comments on modules and on the fields of their JSON. A field that holds other
// modules says in a tag which ones.
func TestDocumentedJSONFields(t *testing.T) {
	t.Parallel()
	_, packages := parsePackages(t)
	fields := 0
	for _, dir := range []string{".", "sandbox"} {
		for _, file := range packages[dir] {
			ast.Inspect(file, func(n ast.Node) bool {
				spec, isType := n.(*ast.TypeSpec)
				if !isType {
					return true
				}
				if body, isStruct := spec.Type.(*ast.StructType); isStruct && spec.Name.IsExported() {
					for _, field := range body.Fields.List {
						tag := tagOf(t, field)
						if tag.Get("json") == "" {
							continue
						}
						fields++
						if field.Doc.Text() == "" {
							t.Errorf("%s: %s.%s has no comment", dir, spec.Name, field.Names[0])
						}
						if isRaw(field.Type) && !strings.Contains(tag.Get("caddy"), "namespace=") {
							t.Errorf("%s: %s.%s has no namespace", dir, spec.Name, field.Names[0])
						}
					}
				}
				return true
			})
		}
	}
	if fields < 50 {
		t.Errorf("got %d fields of JSON, want more", fields)
	}
}

// parsePackages returns the files of every package by its folder, without tests.
func parsePackages(t *testing.T) (*token.FileSet, map[string][]*ast.File) {
	t.Helper()
	set, packages := token.NewFileSet(), map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{"node_modules", "testdata", "tests", "tools", "examples", ".release"}, entry.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		dir := filepath.ToSlash(filepath.Dir(file))
		packages[dir] = append(packages[dir], parsed)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 10 {
		t.Fatalf("got %d packages, want more", len(packages))
	}
	return set, packages
}

// undocumented returns the exported names of a file that have no comment.
func undocumented(set *token.FileSet, file *ast.File) (names []string) {
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			owner, isMethod := receiver(decl)
			if decl.Name.IsExported() && decl.Doc.Text() == "" && (!isMethod || ast.IsExported(owner)) && !isStandard(decl.Name.Name) {
				names = append(names, strings.TrimPrefix(owner+"."+decl.Name.Name, "."))
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				names = append(names, undocumentedSpec(set, decl, spec)...)
			}
		}
	}
	return names
}

// undocumentedSpec looks at a type with its fields and methods, or at constants and variables, whose group may have one
// comment for all.
func undocumentedSpec(set *token.FileSet, decl *ast.GenDecl, spec ast.Spec) (names []string) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() && decl.Doc.Text()+spec.Doc.Text()+spec.Comment.Text() == "" {
				names = append(names, name.Name)
			}
		}
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return nil
		}
		if decl.Doc.Text()+spec.Doc.Text() == "" {
			names = append(names, spec.Name.Name)
		}
		switch body := spec.Type.(type) {
		case *ast.StructType:
			names = append(names, undocumentedMembers(set, spec, decl, body.Fields.List)...)
		case *ast.InterfaceType:
			names = append(names, undocumentedMembers(set, spec, decl, body.Methods.List)...)
		}
	}
	return names
}

// undocumentedMembers leaves out fields that say all by name and type, such as AppID string; a time, a number, a switch or
// a function says nothing of its unit, its zero or its caller. Members on adjacent lines share a comment, and the comment of
// the type may name them.
func undocumentedMembers(set *token.FileSet, spec *ast.TypeSpec, decl *ast.GenDecl, members []*ast.Field) (names []string) {
	shared, end := false, 0
	for _, member := range members {
		start := set.Position(member.Pos()).Line
		if member.Doc.Text() != "" {
			shared = true
		} else if start > end+1 {
			shared = false
		}
		end = set.Position(member.End()).Line
		if shared || member.Comment.Text() != "" || saysAll(member.Type) {
			continue
		}
		for _, name := range member.Names {
			if name.IsExported() && !isStandard(name.Name) && !strings.Contains(decl.Doc.Text()+spec.Doc.Text()+spec.Comment.Text(), name.Name) {
				names = append(names, spec.Name.Name+"."+name.Name)
			}
		}
	}
	return names
}

func saysAll(expr ast.Expr) bool {
	switch expr := expr.(type) {
	case *ast.Ident:
		return expr.Name == "string" || expr.IsExported()
	case *ast.StarExpr:
		return saysAll(expr.X)
	case *ast.ArrayType:
		return saysAll(expr.Elt)
	case *ast.SelectorExpr:
		return !slices.Contains([]string{"Duration", "Time", "Int64"}, expr.Sel.Name)
	}
	return false
}

// isStandard reports whether a method is of an interface that every reader of Go knows.
func isStandard(name string) bool {
	return slices.Contains([]string{"Error", "Unwrap", "Is", "String", "ServeHTTP", "MarshalJSON", "UnmarshalJSON"}, name)
}

// receiver returns the name of a method's type.
func receiver(decl *ast.FuncDecl) (name string, isMethod bool) {
	if decl.Recv == nil {
		return "", false
	}
	expr := decl.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if index, ok := expr.(*ast.IndexExpr); ok {
		expr = index.X
	}
	ident, _ := expr.(*ast.Ident)
	return ident.Name, true
}

func tagOf(t *testing.T, field *ast.Field) reflect.StructTag {
	t.Helper()
	if field.Tag == nil {
		return ""
	}
	tag, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		t.Fatal(err)
	}
	return reflect.StructTag(tag)
}

// isRaw reports whether a field holds JSON of other modules.
func isRaw(expr ast.Expr) bool {
	selector, ok := expr.(*ast.SelectorExpr)
	return ok && (selector.Sel.Name == "RawMessage" || selector.Sel.Name == "ModuleMap")
}

// The packages that others may use have an example that runs.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"avatar", "client", "jwt", "session", "sidecar", "wechat", "wechat/wechattest"} {
		text := readText(t, dir+"/example_test.go")
		if !strings.Contains(text, "\nfunc Example") || !strings.Contains(text, "\n\t// Output:") {
			t.Errorf("%s has no example with its output", dir)
		}
	}
}
