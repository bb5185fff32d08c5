package charts

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

// What the operator is given are the alerts of deploy, members and templates untouched.
func TestRulesAreTheAlerts(t *testing.T) {
	text, err := os.ReadFile("../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var want monitoringv1.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Groups) == 0 || len(want.Groups[0].Rules) == 0 {
		t.Fatal("found no alert")
	}
	if got := render(t, "everything").rules["pins"].Spec; !reflect.DeepEqual(got, want) {
		t.Errorf("rules:\n%+v\nwant:\n%+v", got, want)
	}
}

func TestDashboardIsWhole(t *testing.T) {
	source, err := os.ReadFile("../deploy/grafana/dashboards/pinstatus.json")
	if err != nil {
		t.Fatal(err)
	}
	got := render(t, "everything").configMaps["pins-dashboard"].Data["pinstatus.json"]
	if got != string(source) || !json.Valid([]byte(got)) {
		t.Errorf("the ConfigMap does not hold the dashboard as it is:\n%.200s", got)
	}
}

// Jobs get the names that the alerts and the dashboard ask for.
func TestScrapedJobs(t *testing.T) {
	r := render(t, "everything").serviceMonitors["pins"].Spec.Endpoints[0].RelabelConfigs[0]
	if r.TargetLabel != "job" || *r.Replacement != "pinstatus-$1" ||
		r.SourceLabels[0] != "__meta_kubernetes_service_label_app_kubernetes_io_component" {
		t.Errorf("relabelling %+v: want job pinstatus-<component>", r)
	}
}
