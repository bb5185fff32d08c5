package deploy

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestPrometheusFiles(t *testing.T) {
	for _, args := range [][]string{
		{"check", "config", "prometheus/prometheus.yml"}, // and the alerts that it names
		{"test", "rules", "prometheus/alerts_test.yml"},
	} {
		promtool(t, args...)
	}
}

// promtool runs promtool and fails the test with its output unless it is content.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// Whoever is woken at night finds in the alert what it means and what to do, and knows
// that it fires when it should.
func TestAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string  `yaml:"name"`
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, "prometheus/alerts.yml", &file)
	tests, err := os.ReadFile("prometheus/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}

	runbook, err := os.ReadFile("../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}

	var names []string
	for _, g := range file.Groups {
		for _, a := range g.Rules {
			if slices.Contains(names, a.Alert) {
				t.Errorf("%s stands twice", a.Alert)
			}
			names = append(names, a.Alert)
			if a.For == "" {
				t.Errorf("%s: fires at once, on a single bad scrape", a.Alert)
			}
			if s := a.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity is %q, want critical or warning", a.Alert, s)
			}
			for _, name := range []string{"summary", "description", "action"} {
				if a.Annotations[name] == "" {
					t.Errorf("%s: has no %s", a.Alert, name)
				}
			}
			if !regexp.MustCompile(`\b` + a.Alert + `\b`).Match(tests) {
				t.Errorf("%s: has no case in alerts_test.yml", a.Alert)
			}
			if !strings.Contains(string(runbook), "\n## "+a.Alert+"\n") {
				t.Errorf("%s: has no section in the runbook", a.Alert)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("found no alert")
	}
}

// readYAML reads a file strictly: a member that v does not have is an error.
func readYAML(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load(text, v, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
