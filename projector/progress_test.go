package projector

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/projector/view"
)

func TestProgressOfARefill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		g := progress{log: zap.New(core), refilling: map[int]*refill{}}
		at := func(partition int, sequence, target uint64) {
			g.report(partition, view.Position{Sequence: sequence, Stream: 1, Refill: target})
		}
		at(0, 0, 1000)
		at(1, 0, 1000)
		<-time.After(progressEvery)
		at(1, 500, 1000)
		at(0, 100, 1000)
		<-time.After(progressEvery)
		at(0, 200, 1000)
		at(1, 1000, 0)
		at(0, 1000, 0)
		at(0, 1001, 0)

		var got []string
		for _, e := range logs.All() {
			line := e.Message
			for _, name := range []string{"position", "target", "left", "took"} {
				if v, ok := e.ContextMap()[name]; ok {
					line += " " + name + " " + text(v)
				}
			}
			got = append(got, line)
		}
		want := []string{
			"views are not whole: filling them from the stream position 0 target 1000",
			"filling views from the stream position 0 target 1000",
			"filling views from the stream position 200 target 1000 left 40s",
			"views are whole position 1000 took 10s",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func text(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return v.String()
	case uint64:
		return strconv.FormatUint(v, 10)
	}
	return "?"
}
