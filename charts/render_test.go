package charts

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// manifests are the objects that a release would make, by name.
type manifests struct {
	notes           string
	accounts        map[string]*corev1.ServiceAccount
	configMaps      map[string]*corev1.ConfigMap
	services        map[string]*corev1.Service
	deployments     map[string]*appsv1.Deployment
	jobs            map[string]*batchv1.Job
	cronJobs        map[string]*batchv1.CronJob
	claims          map[string]*corev1.PersistentVolumeClaim
	budgets         map[string]*policyv1.PodDisruptionBudget
	autoscalers     map[string]*autoscalingv2.HorizontalPodAutoscaler
	networkPolicies map[string]*networkingv1.NetworkPolicy
	serviceMonitors map[string]*monitoringv1.ServiceMonitor
	rules           map[string]*monitoringv1.PrometheusRule
}

// valuesFiles are the values that the chart is tested with.
var valuesFiles = []string{"minimal", "everything", "bare", "one"}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir("pinstatus")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render renders the chart as `helm install` does, with a file of values out of testdata.
func render(t *testing.T, name string) *manifests {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := renderValues(t, string(file))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func renderValues(t *testing.T, text string) (*manifests, error) {
	t.Helper()
	values, err := chartutil.ReadValues([]byte(text))
	if err != nil {
		return nil, err
	}
	c := loadChart(t)
	release := chartutil.ReleaseOptions{Name: "live", Namespace: "pins", Revision: 1, IsInstall: true}
	// Checks the values against the schema, too.
	values, err = chartutil.ToRenderValues(c, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{Strict: true}.Render(c, values)
	if err != nil {
		return nil, err
	}
	m := &manifests{}
	for name, text := range files {
		if path.Base(name) == "NOTES.txt" {
			m.notes = text
			continue
		}
		for _, document := range strings.Split("\n"+text, "\n---") {
			m.add(t, name, document)
		}
	}
	return m, nil
}

// add decodes a document as the API server would that refuses unknown members.
func (m *manifests) add(t *testing.T, file, document string) {
	t.Helper()
	var head struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal([]byte(document), &head); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, document)
	}
	switch kind := head.APIVersion + " " + head.Kind; kind {
	case " ":
		if strings.TrimSpace(document) != "" && !strings.HasPrefix(strings.TrimSpace(document), "#") {
			t.Fatalf("%s: neither an object nor nothing:\n%s", file, document)
		}
	case "v1 ServiceAccount":
		put(t, &m.accounts, head.Name, document)
	case "v1 ConfigMap":
		put(t, &m.configMaps, head.Name, document)
	case "v1 Service":
		put(t, &m.services, head.Name, document)
	case "apps/v1 Deployment":
		put(t, &m.deployments, head.Name, document)
	case "batch/v1 Job":
		put(t, &m.jobs, head.Name, document)
	case "batch/v1 CronJob":
		put(t, &m.cronJobs, head.Name, document)
	case "v1 PersistentVolumeClaim":
		put(t, &m.claims, head.Name, document)
	case "policy/v1 PodDisruptionBudget":
		put(t, &m.budgets, head.Name, document)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		put(t, &m.autoscalers, head.Name, document)
	case "networking.k8s.io/v1 NetworkPolicy":
		put(t, &m.networkPolicies, head.Name, document)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		put(t, &m.serviceMonitors, head.Name, document)
	case "monitoring.coreos.com/v1 PrometheusRule":
		put(t, &m.rules, head.Name, document)
	default:
		t.Fatalf("%s: the test does not know %s", file, kind)
	}
	if head.Kind != "" && head.Namespace != "pins" {
		t.Errorf("%s: %s %s is of namespace %q, want the release's", file, head.Kind, head.Name, head.Namespace)
	}
}

func put[T any](t *testing.T, objects *map[string]*T, name, document string) {
	t.Helper()
	if *objects == nil {
		*objects = map[string]*T{}
	}
	if (*objects)[name] != nil {
		t.Errorf("%s: stands twice", name)
	}
	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	(*objects)[name] = object
}

// pods are the pods of all Deployments, Jobs and CronJobs, by their object's name.
func (m *manifests) pods() map[string]corev1.PodTemplateSpec {
	pods := map[string]corev1.PodTemplateSpec{}
	for name, d := range m.deployments {
		pods[name] = d.Spec.Template
	}
	for name, j := range m.jobs {
		pods[name] = j.Spec.Template
	}
	for name, j := range m.cronJobs {
		pods[name] = j.Spec.JobTemplate.Spec.Template
	}
	return pods
}
