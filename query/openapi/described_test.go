package openapi_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/adm"
	"github.com/pinstatus/pinstatus/query/openapi"
	"github.com/pinstatus/pinstatus/query/openapi/conform"
	"github.com/pinstatus/pinstatus/query/twofa"
	"github.com/pinstatus/pinstatus/query/userpin"
	v1 "github.com/pinstatus/pinstatus/query/v1"
)

// What is described is there, and the other way round.
func TestRoutes(t *testing.T) {
	self, err := openapi.New()
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string][]string)
	for _, d := range []query.Dialect{v1.New(nil, nil), twofa.New(nil, nil), adm.New(nil, nil), userpin.New(nil, nil), self} {
		for _, r := range d.Routes() {
			there[r.Pattern] = slices.Sorted(maps.Keys(r.Methods))
		}
	}
	api, err := conform.Parse(openapi.Document())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(there, api.Paths()); d != "" {
		t.Errorf("routes that there are (-) and that are described (+):\n%s", d)
	}
}

// enumeration is a schema of the document that lists values.
type enumeration struct {
	Enum         []string          `yaml:"enum"`
	Descriptions map[string]string `yaml:"x-enumDescriptions"`
}

func TestEnumerations(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]yaml.Node `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(openapi.Document(), &document); err != nil {
		t.Fatal(err)
	}
	statuses := map[event.Channel]enumeration{
		event.SMS: {Descriptions: make(map[string]string)}, event.Voice: {Descriptions: make(map[string]string)},
	}
	for s := range event.Status(255) {
		if !s.Valid() {
			continue
		}
		e := statuses[s.Channel()]
		e.Enum = append(e.Enum, s.String())
		e.Descriptions[s.String()] = s.Description()
		if s.Final() {
			e.Descriptions[s.String()] += " (final)"
		}
		statuses[s.Channel()] = e
	}
	var states enumeration
	for _, s := range []query.State{query.Unset, query.Set, query.Locked} {
		states.Enum = append(states.Enum, s.String())
	}
	for name, want := range map[string]enumeration{
		"SMSStatus": statuses[event.SMS], "CallStatus": statuses[event.Voice], "PINStatus": states,
	} {
		schema := document.Components.Schemas[name]
		var got enumeration
		if err := schema.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if want.Descriptions == nil {
			got.Descriptions = nil // they are words of the document's own
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}
