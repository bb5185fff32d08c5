package deploy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An alert or a panel on a metric that nobody exports says nothing for ever, and looks as
// if all were well.
func TestMetricsExist(t *testing.T) {
	exported := exportedMetrics(t)
	if len(exported) == 0 {
		t.Fatal("found no metric in the sources")
	}
	for _, file := range []string{"prometheus/alerts.yml", "prometheus/alerts_test.yml", "grafana/dashboards/pinstatus.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := metricName.FindAllString(string(text), -1)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if !exported[name] && !exported[seriesSuffix.ReplaceAllString(name, "")] {
				t.Errorf("%s: no code exports %s", file, name)
			}
		}
	}
}

var (
	metricName   = regexp.MustCompile(`\bpinstatus_[a-z0-9_]+\b`)
	seriesSuffix = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// exportedMetrics are the names of metrics that stand in the module's sources: every
// string literal, outside of tests, that is one.
func exportedMetrics(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, root := range []string{"../cmd", "../consumer", "../projector", "../query"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if s, err := strconv.Unquote(lit.Value); err == nil && metricName.FindString(s) == s && s != "" {
						names[s] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// Operators find every metric in the documentation, and nothing there that does not exist.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(pinstatus_[a-z0-9_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		if rows[m[1]] {
			t.Errorf("%s stands twice", m[1])
		}
		rows[m[1]] = true
	}
	exported := exportedMetrics(t)
	for name := range exported {
		if !rows[name] {
			t.Errorf("operations.md has no row for %s", name)
		}
	}
	for _, file := range []string{"operations.md", "runbook.md"} {
		text, err := os.ReadFile("../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metricName.FindAllString(string(text), -1) {
			if !exported[name] && !exported[seriesSuffix.ReplaceAllString(name, "")] {
				t.Errorf("%s: no code exports %s", file, name)
			}
		}
	}
}
