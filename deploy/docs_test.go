package deploy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
)

// documented is a section of the documentation, without its heading.
func documented(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	section, _, _ = strings.Cut(section, "\n### ")
	return section
}

// The permissions that the documentation lists are those of the example, which tests show to be
// enough.
func TestDocumentedNATSPermissions(t *testing.T) {
	for _, user := range []string{"OPERATOR", "PROJECTOR", "QUERY", "SMS_GATEWAY", "PIN_SERVICE"} {
		t.Setenv("NATS_"+user+"_PASSWORD", "secret")
	}
	opts, err := server.ProcessConfigFile("nats/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	section := documented(t, "### NATS permissions")
	var api []string
	for _, line := range regexp.MustCompile(`(?m)^    (\S+)$`).FindAllStringSubmatch(section, -1) {
		api = append(api, line[1])
	}
	subjects := func(cell string) (all []string) {
		for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			all = append(all, quoted[1])
		}
		return all
	}
	for user, who := range map[string]string{"projector": "`pinstatus project`", "query": "`pinstatus query`", "operator": "operators"} {
		row := regexp.MustCompile(`(?m)^\| ` + who + `[^|]* \| ([^|]*) \| ([^|]*) \|$`).FindStringSubmatch(section)
		if row == nil {
			t.Errorf("no row of %s", who)
			continue
		}
		type lists struct{ Publish, Subscribe []string }
		want := lists{subjects(row[1]), subjects(row[2])}
		if user == "projector" {
			want.Publish = append(want.Publish, api...)
		}
		var got lists
		for _, u := range opts.Users {
			if u.Username == user {
				got = lists{u.Permissions.Publish.Allow, u.Permissions.Subscribe.Allow}
			}
		}
		for _, list := range [][]string{want.Publish, want.Subscribe, got.Publish, got.Subscribe} {
			slices.Sort(list)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the documentation (-) and the example (+) differ:\n%s", user, diff)
		}
	}
}

// So are the rules for users of Redis.
func TestDocumentedRedisRules(t *testing.T) {
	users, err := os.ReadFile("redis/users.acl")
	if err != nil {
		t.Fatal(err)
	}
	rules := func(text, password string) map[string]string {
		all := map[string]string{}
		for _, rule := range regexp.MustCompile(`(?m)^user (\S+) +on `+password+` (.*)$`).FindAllStringSubmatch(text, -1) {
			all[rule[1]] = rule[2]
		}
		return all
	}
	want, got := rules(documented(t, "### Redis permissions"), ">…"), rules(string(users), `#\w+`)
	for _, user := range []string{"projector", "tools", "query"} {
		if want[user] == "" || got[user] != want[user] {
			t.Errorf("%s: the example has\n%s, want what the documentation has\n%s", user, got[user], want[user])
		}
	}
}
