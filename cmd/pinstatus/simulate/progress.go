package simulate

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// showProgress prints how the simulation stands: on a terminal one line that is drawn over
// and over, elsewhere a line from time to time. The function that it returns ends that.
func showProgress(w io.Writer, s *stats, interval time.Duration) (stop func()) {
	draw, erase := "%s\n", ""
	every := 5 * time.Second
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		// Return to the line's start, and clear to its end.
		draw, erase = "\r%s\x1b[K", "\r\x1b[K"
		every = 200 * time.Millisecond
	}
	if interval > 0 {
		every = interval
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		last := s.summary()
		for {
			select {
			case <-quit:
				_, _ = io.WriteString(w, erase) // progress that nobody can read is no reason to end
				return
			case <-ticker.C:
				now := s.summary()
				_, _ = fmt.Fprintf(w, draw, progressLine(&last, &now, s.recent()))
				last = now
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

func progressLine(last, now *Summary, recent Latency) string {
	rate := float64(now.Acknowledged-last.Acknowledged) / max(now.Seconds-last.Seconds, 1e-9)
	return fmt.Sprintf("%4.0fs  %9s/s  sent %s  acked %s  failed %s  ack p50 %.2fms p99 %.2fms",
		now.Seconds, grouped(int64(rate)), grouped(now.Sent), grouped(now.Acknowledged), grouped(now.Failed), recent.P50, recent.P99)
}
