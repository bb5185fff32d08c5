package charts

import (
	"os"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

func TestLint(t *testing.T) {
	for _, name := range valuesFiles {
		t.Run(name, func(t *testing.T) {
			values, err := chartutil.ReadValuesFile("testdata/" + name + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range lint.All("pinstatus", values, "pins", true).Messages {
				if m.Severity > support.InfoSev {
					t.Error(m)
				}
			}
		})
	}
}

// What each set of values makes, and that it all decodes strictly.
func TestObjects(t *testing.T) {
	for _, c := range []struct {
		values string
		want   string
	}{
		{"minimal", `
			ServiceAccount live-pinstatus
			ConfigMap live-pinstatus
			Service live-pinstatus-projector-admin live-pinstatus-query live-pinstatus-query-admin
			Deployment live-pinstatus-projector live-pinstatus-query
			Job live-pinstatus-streams
			PodDisruptionBudget live-pinstatus-projector live-pinstatus-query`},
		{"everything", `
			ServiceAccount pins
			ConfigMap pins pins-dashboard
			Service pins-projector-admin pins-query pins-query-admin
			Deployment pins-projector pins-query
			Job pins-streams
			CronJob pins-snapshots
			PersistentVolumeClaim pins-snapshots
			PodDisruptionBudget pins-projector pins-query
			HorizontalPodAutoscaler pins-query
			NetworkPolicy pins-projector pins-query
			ServiceMonitor pins
			PrometheusRule pins`},
		{"bare", `
			Service live-pinstatus-projector-admin live-pinstatus-query live-pinstatus-query-admin
			Deployment live-pinstatus-projector live-pinstatus-query`},
	} {
		t.Run(c.values, func(t *testing.T) {
			m := render(t, c.values)
			var got []string
			add := func(kind string, names []string) {
				if len(names) > 0 {
					got = append(got, kind+" "+strings.Join(names, " "))
				}
			}
			add("ServiceAccount", names(m.accounts))
			add("ConfigMap", names(m.configMaps))
			add("Service", names(m.services))
			add("Deployment", names(m.deployments))
			add("Job", names(m.jobs))
			add("CronJob", names(m.cronJobs))
			add("PersistentVolumeClaim", names(m.claims))
			add("PodDisruptionBudget", names(m.budgets))
			add("HorizontalPodAutoscaler", names(m.autoscalers))
			add("NetworkPolicy", names(m.networkPolicies))
			add("ServiceMonitor", names(m.serviceMonitors))
			add("PrometheusRule", names(m.rules))
			want := strings.Split(strings.ReplaceAll(strings.TrimSpace(c.want), "\t", ""), "\n")
			if !slices.Equal(got, want) {
				t.Errorf("objects:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func names[T any](objects map[string]*T) []string {
	var names []string
	for name := range objects {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Values that would not work are refused before anything is installed.
func TestRefusedValues(t *testing.T) {
	tenant := "config: {tenants: [{id: acme, pinTypes: [{name: Parental}]}]}\n"
	if _, err := renderValues(t, tenant); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	for _, c := range []struct{ values, want string }{
		{"", "there must be a tenant"},
		{"config: {tenants: [{id: ACME, pinTypes: [{name: Parental}]}]}", "id"},
		{"config: {tenants: [{id: acme}]}", "pinTypes"},
		{tenant + "replicas: 3", "replicas"}, // a name that there is not
		{tenant + "projector: {replicas: -1}", "replicas"},
		{tenant + "projector: {leaseTime: five}", "leaseTime"},
		{tenant + "nats: {tls: {secret: s, certificate: tls.crt}}", "key"},
		{tenant + "redis: {tls: {secret: s, key: tls.key}}", "key"},
		{tenant + "snapshots: {keep: 0}", "keep"},
		{tenant + "snapshots: {accessModes: [ReadOnlyMany]}", "accessModes"},
		{tenant + "streams: {replicas: 7}", "replicas"},
		{tenant + "image: {digest: latest}", "digest"},
		{tenant + "log: {level: verbose}", "level"},
		{tenant + "redis: {prefix: 'a{b}'}", "prefix"},
		{tenant + "query: {service: {port: 0}}", "port"},
		{tenant + "query: {maxConnections: -1}", "maxConnections"},
		{tenant + "query: {tls: {secret: s, key: ''}}", "key"},
	} {
		_, err := renderValues(t, c.values)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one that names %q", c.values, err, c.want)
		}
	}
}

// Every value is explained.
func TestReadmeNamesEveryValue(t *testing.T) {
	readme, err := os.ReadFile("pinstatus/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range loadChart(t).Values {
		members, nested := value.(map[string]any)
		if !nested {
			members = map[string]any{"": nil}
		}
		for member := range members {
			path := strings.TrimSuffix(name+"."+member, ".")
			if !strings.Contains(string(readme), "`"+path+"`") && !strings.Contains(string(readme), "| `"+name+"` |") &&
				!strings.Contains(string(readme), "`"+member+"`") {
				t.Errorf("README.md does not name %s", path)
			}
		}
	}
}

// The alerts and the dashboard have one source, and the chart a copy of it: a chart is
// packed from its own folder alone.
func TestCopies(t *testing.T) {
	for _, c := range []struct{ source, copied string }{
		{"../deploy/prometheus/alerts.yml", "pinstatus/files/alerts.yml"},
		{"../deploy/grafana/dashboards/pinstatus.json", "pinstatus/files/dashboard.json"},
	} {
		source, err := os.ReadFile(c.source)
		if err != nil {
			t.Fatal(err)
		}
		copied, err := os.ReadFile(c.copied)
		if err != nil {
			t.Fatal(err)
		}
		if string(source) != string(copied) {
			t.Errorf("%s is not %s: make charts", c.copied, c.source)
		}
	}
}

func TestNotes(t *testing.T) {
	for _, c := range []struct{ values, want string }{
		{"minimal", "http://live-pinstatus-query.pins\n"},
		{"minimal", "whoever reaches this NATS can publish events"},
		{"everything", "https://pins-query.pins:8443\n"},
		{"bare", "`pinstatus streams apply` has been run"},
		{"bare", "projector.replicas is 0"},
		{"one", "nobody takes over from it"},
		{"one", "streams.maxAge is 720h and snapshots.enabled is off"},
	} {
		if notes := render(t, c.values).notes; !strings.Contains(notes, c.want) {
			t.Errorf("%s: notes do not say %q:\n%s", c.values, c.want, notes)
		}
	}
}
