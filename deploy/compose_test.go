package deploy

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type compose struct {
	Name     string             `yaml:"name"`
	Common   any                `yaml:"x-pinstatus"`
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type service struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Command         []string          `yaml:"command"`
	Environment     map[string]string `yaml:"environment"`
	Volumes         []string          `yaml:"volumes"`
	Ports           []string          `yaml:"ports"`
	DependsOn       any               `yaml:"depends_on"`
	Restart         string            `yaml:"restart"`
	ReadOnly        bool              `yaml:"read_only"`
	CapDrop         []string          `yaml:"cap_drop"`
	SecurityOpt     []string          `yaml:"security_opt"`
	StopGracePeriod string            `yaml:"stop_grace_period"`
	Deploy          struct {
		Replicas int `yaml:"replicas"`
	} `yaml:"deploy"`
	Healthcheck struct {
		Test     []string `yaml:"test"`
		Interval string   `yaml:"interval"`
		Timeout  string   `yaml:"timeout"`
		Retries  int      `yaml:"retries"`
	} `yaml:"healthcheck"`
}

// mount is the host's path that is mounted at a path of the service.
func (s service) mount(at string) (string, bool) {
	for _, v := range s.Volumes {
		if from, to, _ := strings.Cut(v, ":"); strings.TrimSuffix(to, ":ro") == at {
			return from, true
		}
	}
	return "", false
}

func readCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	readYAML(t, "compose.yaml", &c)
	return c
}

func TestCompose(t *testing.T) {
	c := readCompose(t)
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+(-[a-z]+)?$|^pinstatus:local$`)
	for name, s := range c.Services {
		if !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %s is not pinned to a version", name, s.Image)
		}
		if s.Deploy.Replicas > 1 && len(s.Ports) > 0 {
			t.Errorf("%s: %d containers cannot have one port %q", name, s.Deploy.Replicas, s.Ports)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s can be reached from outside", name, p)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, volume := c.Volumes[from]; volume {
				continue
			}
			if _, err := os.Stat(from); err != nil {
				t.Errorf("%s: mounts %v", name, err)
			}
		}
	}
}

// The example's processes are configured by variables that the commands know, and listen
// where others can reach them.
func TestComposeProcesses(t *testing.T) {
	c := readCompose(t)
	binary := build(t)
	for _, name := range []string{"streams", "projector", "query"} {
		s := c.Services[name]
		if len(s.Command) == 0 {
			t.Fatalf("%s: has no command", name)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("%s: may do more than it needs: read_only %v, cap_drop %v", name, s.ReadOnly, s.CapDrop)
		}
		flags := flagsOf(t, binary, s.Command...)
		for variable, value := range s.Environment {
			if !flags[variable] {
				t.Errorf("%s: `pinstatus %s` does not know %s", name, strings.Join(s.Command, " "), variable)
			}
			if strings.HasSuffix(variable, "_ADDR") {
				if host, _, err := net.SplitHostPort(value); err != nil || host != "0.0.0.0" {
					t.Errorf("%s: %s=%s cannot be reached from another container", name, variable, value)
				}
			}
			if variable == "PINSTATUS_CONFIG" {
				from, mounted := s.mount(filepath.Dir(value))
				if !mounted {
					t.Errorf("%s: nothing is mounted for %s", name, value)
				} else if _, err := os.Stat(filepath.Join(from, filepath.Base(value))); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// build builds the command, as the Dockerfile does.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "pinstatus")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, "../cmd/pinstatus")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return binary
}

// flagsOf are the variables that a command reads, one for each of its flags.
func flagsOf(t *testing.T, binary string, command ...string) map[string]bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append(slices.Clone(command), "--help")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	variables := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`).FindAllStringSubmatch(string(out), -1) {
		variables["PINSTATUS_"+strings.ToUpper(strings.ReplaceAll(m[1], "-", "_"))] = true
	}
	return variables
}
