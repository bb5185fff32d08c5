package consumer

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
)

func config(tb testing.TB, js jetstream.JetStream, name string) jetstream.StreamConfig {
	tb.Helper()
	s, err := js.Stream(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return s.CachedInfo().Config
}

func TestApplyMakesTheStreams(t *testing.T) {
	js := natstest.Start(t).JetStream()
	if err := Apply(t.Context(), js, Streams{}); err != nil {
		t.Fatal(err)
	}
	want := jetstream.StreamConfig{
		Name: "PINSTATUS", Subjects: []string{"pinstatus.events.>"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: 256 << 10, Discard: jetstream.DiscardNew,
		Replicas: 1, Duplicates: 2 * time.Minute, AllowDirect: true,
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source:      "pinstatus.events.*.*.*",
			Destination: "pinstatus.p.{{partition(16,2,3)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}",
		},
	}
	ours := cmpopts.IgnoreFields(jetstream.StreamConfig{}, "Metadata")
	if d := cmp.Diff(want, config(t, js, "PINSTATUS"), ours); d != "" {
		t.Error(d)
	}
	want = jetstream.StreamConfig{
		Name: "PINSTATUS_DLQ", Subjects: []string{"pinstatus.dlq.>"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: 320 << 10, Discard: jetstream.DiscardOld,
		Replicas: 1, Duplicates: 2 * time.Minute, AllowDirect: true, MaxAge: 30 * 24 * time.Hour,
	}
	if d := cmp.Diff(want, config(t, js, "PINSTATUS_DLQ"), ours); d != "" {
		t.Error(d)
	}
	if err := Check(t.Context(), js, Streams{}); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := Apply(t.Context(), js, Streams{}); err != nil {
		t.Errorf("apply again: %v", err)
	}
}

// Each row changes a good stream; Check has to name what, and Apply to put it right.
func TestCheckNamesAndApplyMends(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		stream string
		change func(c *jetstream.StreamConfig)
		cfg    Streams
		want   []string // settings
	}{
		{"nothing", EventStream, func(*jetstream.StreamConfig) {}, Streams{}, nil},
		{"what is the operator's", EventStream, func(c *jetstream.StreamConfig) {
			c.Description, c.Compression, c.Duplicates = "mine", jetstream.S2Compression, time.Second
			c.MaxAge, c.MaxBytes = time.Hour, 1<<30
		}, Streams{}, nil},
		{"subjects", EventStream, func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "other.>") }, Streams{}, []string{"subjects"}},
		{"no transform", EventStream, func(c *jetstream.StreamConfig) { c.SubjectTransform = nil }, Streams{}, []string{"subject transform"}},
		{"other transform", EventStream, func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "pinstatus.events.*.*.*", Destination: "pinstatus.p.{{partition(16,1,3)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}"}
		}, Streams{}, []string{"subject transform"}},
		{"other partitions", EventStream, func(c *jetstream.StreamConfig) { c.SubjectTransform = partitionTransform(4) }, Streams{Partitions: 16}, []string{`4 partitions, want 16 (views have to have 16 first, by "pinstatus rebuild --partitions 16")`}},
		{"any partitions", EventStream, func(c *jetstream.StreamConfig) { c.SubjectTransform = partitionTransform(4) }, Streams{}, nil},
		{
			"limits", EventStream, func(c *jetstream.StreamConfig) { c.MaxMsgs, c.MaxMsgsPerSubject, c.MaxMsgSize = 9, 3, 1024 },
			Streams{},
			[]string{"largest number of messages", "largest number of messages of a subject", "largest message"},
		},
		{"discard", EventStream, func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, Streams{}, []string{"discard"}},
		{"no age limit wanted", EventStream, func(c *jetstream.StreamConfig) { c.MaxAge, c.MaxBytes = time.Hour, 1<<30 }, Streams{Limits: Limits{MaxAge: new(time.Duration(0))}}, []string{"age limit"}},
		{"no size limit wanted", EventStream, func(c *jetstream.StreamConfig) { c.MaxAge, c.MaxBytes = time.Hour, 1<<30 }, Streams{Limits: Limits{MaxBytes: new(int64(0))}}, []string{"size limit"}},
		{"limits wanted", EventStream, func(*jetstream.StreamConfig) {}, Streams{Limits: Limits{MaxAge: new(time.Hour), MaxBytes: new(int64(1 << 30))}}, []string{"age limit", "size limit"}},
		{"short age", EventStream, func(*jetstream.StreamConfig) {}, Streams{Limits: Limits{MaxAge: new(time.Minute)}}, []string{"age limit"}},
		{"duplicate window", EventStream, func(c *jetstream.StreamConfig) { c.Duplicates = time.Hour }, Streams{}, []string{"duplicate window"}},
		{"no acknowledgements", EventStream, func(c *jetstream.StreamConfig) { c.NoAck = true }, Streams{}, []string{"no acknowledgement"}},
		{"roll-up", EventStream, func(c *jetstream.StreamConfig) { c.AllowRollup = true }, Streams{}, []string{"roll-up headers"}},
		{"no direct get", DeadLetterStream, func(c *jetstream.StreamConfig) { c.AllowDirect = false }, Streams{}, []string{"direct get"}},
		{"dead letters' age", DeadLetterStream, func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, Streams{}, []string{"age limit"}},
		{"dead letters' size", DeadLetterStream, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1024 }, Streams{}, []string{"largest message"}},
		{"dead letters' transform", DeadLetterStream, func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "pinstatus.dlq.>", Destination: "x.>"}
		}, Streams{}, []string{"subject transform"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			js := natstest.Start(t).JetStream()
			if err := Apply(t.Context(), js, Streams{}); err != nil {
				t.Fatal(err)
			}
			c := config(t, js, tt.stream)
			tt.change(&c)
			if _, err := js.UpdateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			changed := config(t, js, tt.stream)

			err := Check(t.Context(), js, tt.cfg)
			var found []string
			var different *StreamError
			if errors.As(err, &different) {
				if different.Stream != tt.stream {
					t.Errorf("stream: got %s, want %s", different.Stream, tt.stream)
				}
				for _, d := range different.Differences {
					name, _, _ := strings.Cut(d, " is ")
					found = append(found, name)
				}
				if !strings.Contains(err.Error(), "pinstatus streams apply") {
					t.Errorf("error does not name the command: %v", err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, found, cmpopts.SortSlices(strings.Compare)); d != "" {
				t.Errorf("differences: %s", d)
			}

			if err := Apply(t.Context(), js, tt.cfg); err != nil {
				t.Fatalf("apply: %v", err)
			}
			if err := Check(t.Context(), js, tt.cfg); err != nil {
				t.Errorf("check after apply: %v", err)
			}
			now := config(t, js, tt.stream)
			if d := cmp.Diff(changed, now); tt.want == nil && d != "" {
				t.Errorf("apply changed a good stream: %s", d)
			}
			if now.Description != changed.Description || now.Compression != changed.Compression {
				t.Error("apply changed what is the operator's")
			}
		})
	}
}

func TestCheckWithoutStreams(t *testing.T) {
	js := natstest.Start(t).JetStream()
	err := Check(t.Context(), js, Streams{})
	want := "stream PINSTATUS: does not exist: run \"pinstatus streams apply\"\n" +
		"stream PINSTATUS_DLQ: does not exist: run \"pinstatus streams apply\""
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Apply takes nothing away from a stream that holds events, unless it is forced to.
func TestApplyRefusesHarm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  Streams
		harm string
	}{
		{"partitions", Streams{Partitions: 32}, `8 partitions, want 32 (views have to have 32 first, by "pinstatus rebuild --partitions 32"): the change leaves the stored events (100) under partitions`},
		{"size", Streams{Limits: Limits{MaxBytes: new(int64(1000))}}, "deletes messages: the stream holds"},
		{"age", Streams{Limits: Limits{MaxAge: new(200 * time.Millisecond)}}, "deletes messages: the oldest is of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			js := natstest.Start(t).JetStream()
			if err := Apply(t.Context(), js, Streams{Partitions: 8}); err != nil {
				t.Fatal(err)
			}
			publish(t, js, 0, 100, 10)
			oldest := time.Now()
			eventually(t, "the events to age", func() bool { return time.Since(oldest) > 300*time.Millisecond })
			before := config(t, js, EventStream)

			var refused *RefusedError
			if err := Apply(t.Context(), js, tt.cfg); !errors.As(err, &refused) {
				t.Fatalf("got %v, want a RefusedError", err)
			}
			if len(refused.Harms) != 1 || !strings.Contains(refused.Harms[0], tt.harm) {
				t.Errorf("harms: got %q, want one with %q", refused.Harms, tt.harm)
			}
			if d := cmp.Diff(before, config(t, js, EventStream)); d != "" {
				t.Errorf("the stream was changed: %s", d)
			}

			tt.cfg.Force = true
			if err := Apply(t.Context(), js, tt.cfg); err != nil {
				t.Fatalf("forced: %v", err)
			}
			if err := Check(t.Context(), js, tt.cfg); err != nil {
				t.Errorf("check after force: %v", err)
			}
		})
	}
}

func TestApplySaysWhatTheBrokerRefused(t *testing.T) {
	js := natstest.Start(t).JetStream()
	if err := Apply(t.Context(), js, Streams{}); err != nil {
		t.Fatal(err)
	}
	const want = "change stream PINSTATUS (replicas is 1, want 3): "
	if err := Apply(t.Context(), js, Streams{Replicas: 3}); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
}

// A stream that is full refuses events, and keeps those it has.
func TestFullStreamRefuses(t *testing.T) {
	js := natstest.Start(t).JetStream()
	if err := Apply(t.Context(), js, Streams{Limits: Limits{MaxBytes: new(int64(10_000))}}); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		_, err = js.Publish(t.Context(), event.Subject(event.FamilySMS, "acme", "k"), smsEvent("k", i))
	}
	if err == nil {
		t.Fatal("a full stream takes events")
	}
	s, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if first := s.CachedInfo().State.FirstSeq; first != 1 {
		t.Errorf("the stream begins at %d, want 1", first)
	}
}

// The stream computes the partition that event.Partition computes.
func TestStoredPartition(t *testing.T) {
	js := natstest.Start(t).JetStream()
	for _, partitions := range []int{1, 3, 16, MaxPartitions} {
		if err := Apply(t.Context(), js, Streams{Partitions: partitions, Force: true}); err != nil {
			t.Fatal(err)
		}
		s, err := js.Stream(t.Context(), EventStream)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"a", "2B67", "pin 1", "100%", "ü/\x7f.*>", strings.Repeat("x", 256)} {
			subject := event.Subject(event.FamilyVoice, "acme-1", id)
			sequence := publishRaw(t, js, &nats.Msg{Subject: subject, Data: []byte("{}")})
			m, err := s.GetMsg(t.Context(), sequence)
			if err != nil {
				t.Fatal(err)
			}
			got, err := newSpread(Stream{Partitions: partitions, Uniform: 1}, partitions).partition(m.Subject, 1)
			if err != nil {
				t.Fatal(err)
			}
			if want := event.Partition("acme-1", event.EscapeToken(id), partitions); got != want {
				t.Errorf("%s of %d: stored under %d, want %d", subject, partitions, got, want)
			}
			var b strings.Builder
			published(&b, m.Subject)
			if b.String() != subject {
				t.Errorf("published: got %s, want %s", b.String(), subject)
			}
		}
	}
}

// A limit that is not given stays as it is, and one that is zero is lifted.
func TestLimitsAreSetOneByOne(t *testing.T) {
	js := natstest.Start(t).JetStream()
	steps := []struct {
		name  string
		set   Limits
		age   time.Duration
		bytes int64
	}{
		{"none in a new stream", Limits{}, 0, -1},
		{"size", Limits{MaxBytes: new(int64(1 << 30))}, 0, 1 << 30},
		{"age", Limits{MaxAge: new(720 * time.Hour)}, 720 * time.Hour, 1 << 30},
		{"neither", Limits{}, 720 * time.Hour, 1 << 30},
		{"size lifted", Limits{MaxBytes: new(int64(0))}, 720 * time.Hour, -1},
		{"age lifted", Limits{MaxAge: new(time.Duration(0))}, 0, -1},
	}
	for _, step := range steps {
		s := Streams{Limits: step.set}
		if err := Apply(t.Context(), js, s); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if err := Check(t.Context(), js, s); err != nil {
			t.Errorf("%s: check after apply: %v", step.name, err)
		}
		if c := config(t, js, EventStream); c.MaxAge != step.age || c.MaxBytes != step.bytes {
			t.Errorf("%s: limits %s and %d bytes, want %s and %d", step.name, c.MaxAge, c.MaxBytes, step.age, step.bytes)
		}
	}
}

func TestStreamsValidate(t *testing.T) {
	tests := []struct {
		cfg  Streams
		want []string // settings at fault
	}{
		{Streams{}, nil},
		{Streams{
			Partitions: MaxPartitions, Replicas: 5, DeadLetterAge: time.Hour,
			Limits: Limits{MaxAge: new(100 * time.Millisecond), MaxBytes: new(int64(1))},
		}, nil},
		{Streams{Limits: Limits{MaxAge: new(time.Duration(0)), MaxBytes: new(int64(0))}}, nil},
		{Streams{Partitions: -1}, []string{"Partitions"}},
		{Streams{Partitions: MaxPartitions + 1}, []string{"Partitions"}},
		{Streams{Replicas: 6}, []string{"Replicas"}},
		{Streams{Replicas: -1}, []string{"Replicas"}},
		{Streams{DeadLetterAge: -1}, []string{"DeadLetterAge"}},
		{Streams{Limits: Limits{MaxAge: new(-time.Hour)}}, []string{"MaxAge"}},
		{Streams{Limits: Limits{MaxAge: new(time.Millisecond)}}, []string{"MaxAge"}},
		{Streams{Limits: Limits{MaxBytes: new(int64(-1))}}, []string{"MaxBytes"}},
		{Streams{Partitions: 2000, Replicas: 9}, []string{"Partitions", "Replicas"}},
	}
	for _, tt := range tests {
		var got []string
		if joined, ok := tt.cfg.Validate().(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				var wrong *SettingError
				if !errors.As(err, &wrong) {
					t.Fatalf("%+v: error %T, want a *SettingError", tt.cfg, err)
				}
				got = append(got, wrong.Setting)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: wrong are %q, want %q", tt.cfg, got, tt.want)
		}
	}
}

func TestPartitionsOf(t *testing.T) {
	good := partitionTransform(16)
	tests := []struct {
		name string
		t    *jetstream.SubjectTransformConfig
		want int
	}{
		{"none", nil, 0},
		{"ours", good, 16},
		{"most", partitionTransform(MaxPartitions), MaxPartitions},
		{"too many", partitionTransform(MaxPartitions + 1), 0},
		{"zero", partitionTransform(0), 0},
		{"other source", &jetstream.SubjectTransformConfig{Source: "x", Destination: good.Destination}, 0},
		{"other end", &jetstream.SubjectTransformConfig{Source: good.Source, Destination: good.Destination + ".x"}, 0},
		{"other tokens", &jetstream.SubjectTransformConfig{Source: good.Source, Destination: strings.Replace(good.Destination, "2,3", "3,2", 1)}, 0},
	}
	var got, want []int
	for _, tt := range tests {
		got, want = append(got, partitionsOf(tt.t)), append(want, tt.want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
