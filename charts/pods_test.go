package charts

import (
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// drainSeconds is how long a process may take to end after SIGTERM.
const drainSeconds = 10

// Pods can do nothing that they need not.
func TestPodsAreConfined(t *testing.T) {
	for name, pod := range everyPod(t) {
		t.Run(name, func(t *testing.T) {
			spec := pod.Spec
			if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
				t.Error("has a token of the cluster")
			}
			if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
				t.Error("has variables of services, whose names can be those of flags")
			}
			s := spec.SecurityContext
			if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 {
				t.Errorf("may run as root: %+v", s)
			}
			if s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("seccomp profile is %v", s.SeccompProfile)
			}
			for _, c := range spec.Containers {
				s := c.SecurityContext
				if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
					s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
					s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
					t.Errorf("container %s: may do more than it needs: %+v", c.Name, s)
				}
				if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
					t.Errorf("container %s: has no requests, or no limit of memory", c.Name)
				}
			}
		})
	}
}

// The commands know every variable that they are given, and every port that is named is
// the one that the process listens on.
func TestPodsRunTheCommand(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "pinstatus")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, "./cmd/pinstatus")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	for name, pod := range everyPod(t) {
		t.Run(name, func(t *testing.T) {
			c := pod.Spec.Containers[0]
			known := variables(t, binary, c.Args...)
			ports := map[string]int32{}
			for _, p := range c.Ports {
				ports[p.Name] = p.ContainerPort
			}
			for _, e := range c.Env {
				if e.Name != "GOMEMLIMIT" && !known[e.Name] {
					t.Errorf("`pinstatus %s` does not know %s", strings.Join(c.Args, " "), e.Name)
				}
				if strings.HasPrefix(e.Value, "/") && !mounted(pod.Spec, e.Value) {
					t.Errorf("%s: nothing is mounted for %s", e.Name, e.Value)
				}
				name, addr := strings.CutSuffix(e.Name, "_ADDR")
				if !addr {
					continue
				}
				host, port, err := net.SplitHostPort(e.Value)
				name = strings.ToLower(strings.TrimPrefix(name, "PINSTATUS_"))
				if err != nil || host != "0.0.0.0" || port != strconv.Itoa(int(ports[name])) {
					t.Errorf("%s=%s: the port %s is %d", e.Name, e.Value, name, ports[name])
				}
			}
		})
	}
}

// variables are those that a command reads, one for each of its flags.
func variables(t *testing.T, binary string, command ...string) map[string]bool {
	t.Helper()
	help := exec.CommandContext(t.Context(), binary, append(slices.Clone(command), "--help")...)
	out, err := help.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", help, err, out)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`).FindAllStringSubmatch(string(out), -1) {
		known["PINSTATUS_"+strings.ToUpper(strings.ReplaceAll(m[1], "-", "_"))] = true
	}
	return known
}

// mounted reports whether a file is in a volume, and, where that says which files it holds,
// among them.
func mounted(pod corev1.PodSpec, file string) bool {
	return slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool {
		if m.MountPath != filepath.Dir(file) {
			return false
		}
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 || pod.Volumes[i].Secret == nil || pod.Volumes[i].Secret.Items == nil {
			return i >= 0
		}
		return slices.ContainsFunc(pod.Volumes[i].Secret.Items, func(k corev1.KeyToPath) bool { return k.Path == filepath.Base(file) })
	})
}

// Services are probed on their admin port, and given the time that they need to end.
func TestServicesLifecycle(t *testing.T) {
	for name, pod := range everyPod(t) {
		t.Run(name, func(t *testing.T) {
			c := pod.Spec.Containers[0]
			if c.Args[0] == "streams" || c.Args[0] == "snapshot" {
				return
			}
			for name, probe := range map[string]*corev1.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
				if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != name || probe.HTTPGet.Port.StrVal != "admin" {
					t.Errorf("probe %s: %+v", name, probe)
				}
			}
			needs := int64(drainSeconds)
			if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
				needs += c.Lifecycle.PreStop.Sleep.Seconds
			}
			if grace := pod.Spec.TerminationGracePeriodSeconds; grace == nil || *grace <= needs {
				t.Errorf("is killed after %v seconds, and may need %d", grace, needs)
			}
			if pod.Annotations["checksum/config"] == "" {
				t.Error("is not restarted when its configuration changes")
			}
		})
	}
}

// Whatever selects pods selects those of its component, and ports that are named exist.
func TestSelectors(t *testing.T) {
	for _, values := range valuesFiles {
		t.Run(values, func(t *testing.T) {
			m := render(t, values)
			for name, d := range m.deployments {
				if !subset(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels) {
					t.Errorf("Deployment %s: selects %v, its pods have %v", name, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels)
				}
			}
			for name, s := range m.services {
				pod := m.only(t, name, s.Spec.Selector)
				if !slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool {
					return p.Name == s.Spec.Ports[0].TargetPort.StrVal
				}) {
					t.Errorf("Service %s: its pod has no port %s", name, s.Spec.Ports[0].TargetPort.StrVal)
				}
			}
			for name, b := range m.budgets {
				m.only(t, name, b.Spec.Selector.MatchLabels)
			}
			for name, p := range m.networkPolicies {
				m.only(t, name, p.Spec.PodSelector.MatchLabels)
			}
			for name, a := range m.autoscalers {
				d := m.deployments[a.Spec.ScaleTargetRef.Name]
				if d == nil || d.Spec.Replicas != nil {
					t.Errorf("HorizontalPodAutoscaler %s: its target is not there, or sets its replicas itself", name)
				}
			}
			for _, sm := range m.serviceMonitors {
				var found []string
				for name, s := range m.services {
					if subset(sm.Spec.Selector.MatchLabels, s.Labels) && s.Spec.Ports[0].Name == sm.Spec.Endpoints[0].Port {
						found = append(found, name)
					}
				}
				slices.Sort(found)
				if want := []string{"pins-projector-admin", "pins-query-admin"}; !slices.Equal(found, want) {
					t.Errorf("ServiceMonitor: scrapes %v, want %v", found, want)
				}
			}
		})
	}
}

// only is the one pod that has the labels.
func (m *manifests) only(t *testing.T, who string, labels map[string]string) corev1.PodTemplateSpec {
	t.Helper()
	var found []corev1.PodTemplateSpec
	for _, pod := range m.pods() {
		if subset(labels, pod.Labels) {
			found = append(found, pod)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s: selects %d kinds of pods, want 1", who, len(found))
	}
	return found[0]
}

func subset(labels, of map[string]string) bool {
	for k, v := range labels {
		if of[k] != v {
			return false
		}
	}
	return len(labels) > 0
}

// Each process is given its own secrets and none of another's.
func TestSecrets(t *testing.T) {
	m := render(t, "everything")
	for name, want := range map[string]string{
		"pins-projector": "projector.creds ca.crt tls.crt tls.key ca.crt projector-url",
		"pins-query":     "query.creds ca.crt tls.crt tls.key ca.crt tls.crt tls.key query-url",
		"pins-streams":   "operator.creds ca.crt tls.crt tls.key",
		"pins-snapshots": "operator.creds ca.crt tls.crt tls.key ca.crt tools-url",
	} {
		pod := m.pods()[name]
		var got []string
		for _, v := range pod.Spec.Volumes {
			if v.Secret != nil {
				for _, item := range v.Secret.Items {
					got = append(got, item.Key)
				}
			}
		}
		for _, e := range pod.Spec.Containers[0].Env {
			if e.ValueFrom != nil {
				got = append(got, e.ValueFrom.SecretKeyRef.Key)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: is given %q, want %q", name, got, want)
		}
	}
}

func TestStreamsJob(t *testing.T) {
	env := map[string]string{}
	for _, e := range render(t, "everything").jobs["pins-streams"].Spec.Template.Spec.Containers[0].Env {
		env[e.Name] = e.Value
	}
	for name, want := range map[string]string{
		"PINSTATUS_PARTITIONS":      "16",
		"PINSTATUS_STREAM_REPLICAS": "3",
		"PINSTATUS_MAX_AGE":         "8760h",
		"PINSTATUS_MAX_BYTES":       "107374182400", // not 1.07e+11
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
}

// The hook runs before the chart's own objects are there.
func TestStreamsJobNeedsNothingOfTheChart(t *testing.T) {
	for _, values := range []string{"minimal", "everything"} {
		m := render(t, values)
		for name, j := range m.jobs {
			if hook := j.Annotations["helm.sh/hook"]; hook != "pre-install,pre-upgrade" {
				t.Errorf("%s %s: hook is %q", values, name, hook)
			}
			spec := j.Spec.Template.Spec
			if spec.ServiceAccountName != "" {
				t.Errorf("%s %s: wants the service account %s", values, name, spec.ServiceAccountName)
			}
			for _, v := range spec.Volumes {
				if v.ConfigMap != nil {
					t.Errorf("%s %s: wants the ConfigMap %s", values, name, v.ConfigMap.Name)
				}
			}
		}
	}
}

// A projector that is rolled out takes its share before one goes, and what one has can be
// taken over by another, which a single failure should not have taken as well.
func TestProjectorsReplaceEachOther(t *testing.T) {
	d := render(t, "minimal").deployments["live-pinstatus-projector"]
	if *d.Spec.Replicas < 2 {
		t.Errorf("%d replicas, want 2 at least", *d.Spec.Replicas)
	}
	r := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type != "RollingUpdate" || r.MaxUnavailable.IntValue() != 0 || r.MaxSurge.IntValue() != 1 {
		t.Errorf("strategy %+v", d.Spec.Strategy)
	}
	for name, d := range render(t, "everything").deployments {
		var spread []string
		for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
			if !subset(c.LabelSelector.MatchLabels, d.Spec.Template.Labels) || c.WhenUnsatisfiable != corev1.ScheduleAnyway {
				t.Errorf("%s: %+v", name, c)
			}
			spread = append(spread, c.TopologyKey)
		}
		if want := []string{"topology.kubernetes.io/zone", "kubernetes.io/hostname"}; !slices.Equal(spread, want) {
			t.Errorf("%s: spread over %q, want %q", name, spread, want)
		}
	}
}

// What the job saves is where projectors look, and they cannot change it.
func TestSnapshots(t *testing.T) {
	const folder = "/var/lib/pinstatus/snapshots"
	for values, claim := range map[string]string{"everything": "pins-snapshots", "bare": "shared"} {
		m := render(t, values)
		for name, pod := range m.pods() {
			component := pod.Labels["app.kubernetes.io/component"]
			mount := slices.IndexFunc(pod.Spec.Containers[0].VolumeMounts, func(v corev1.VolumeMount) bool { return v.MountPath == folder })
			if component != "projector" && component != "snapshots" {
				if mount >= 0 {
					t.Errorf("%s: has the snapshots", name)
				}
				continue
			}
			if mount < 0 || pod.Spec.Containers[0].VolumeMounts[mount].ReadOnly != (component == "projector") {
				t.Errorf("%s: mounts %+v", name, pod.Spec.Containers[0].VolumeMounts)
			}
			volume := pod.Spec.Volumes[len(pod.Spec.Volumes)-1]
			if volume.PersistentVolumeClaim == nil || volume.PersistentVolumeClaim.ClaimName != claim {
				t.Errorf("%s: volume %+v, want the claim %s", name, volume, claim)
			}
			if args := strings.Join(pod.Spec.Containers[0].Args, " "); !strings.Contains(args, folder) {
				t.Errorf("%s: `pinstatus %s` does not know the folder", name, args)
			}
		}
	}
	m := render(t, "everything")
	spec := m.claims["pins-snapshots"].Spec
	if *spec.StorageClassName != "nfs" || spec.Resources.Requests.Storage().String() != "50Gi" ||
		!slices.Equal(spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}) {
		t.Errorf("claim %+v", spec)
	}
	job := m.cronJobs["pins-snapshots"].Spec
	if job.Schedule != "7 * * * *" || job.ConcurrencyPolicy != "Forbid" {
		t.Errorf("job %+v", job)
	}
	if n := len(render(t, "minimal").claims) + len(render(t, "minimal").cronJobs); n != 0 {
		t.Errorf("%d objects for snapshots that nobody asked for", n)
	}
}

// everyPod is each pod of each set of values.
func everyPod(t *testing.T) map[string]corev1.PodTemplateSpec {
	t.Helper()
	every := map[string]corev1.PodTemplateSpec{}
	for _, values := range valuesFiles {
		for name, pod := range render(t, values).pods() {
			every[values+" "+name] = pod
		}
	}
	return every
}
