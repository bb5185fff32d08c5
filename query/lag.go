package query

import (
	"context"
	"strconv"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// LagHeader is the header that says how far behind the event stream the view is that an
// answer was made from: for how many seconds, with up to three decimals, the oldest event
// that the view's partition lacks has been in the stream; 0 if it lacks none. It is left
// out where that is not known, and where an answer was made without a view.
const LagHeader = "Pinstatus-Lag-Seconds"

// readAt keeps for the answer to the request with ctx which position it is made from; zero
// if that is not known.
func readAt(ctx context.Context, p view.Position) { exchangeOf(ctx).position = p }

// lag is the value of LagHeader for an answer made from a position, empty if it is not
// known.
func (s *Service) lag(p view.Position) string {
	if p == (view.Position{}) {
		return ""
	}
	lag, known := s.history.lag(p, time.Now())
	if !known {
		return ""
	}
	return formatSeconds(lag)
}

// formatSeconds writes seconds with up to three decimals, rounded up: what lags a little is
// not shown as what does not lag.
func formatSeconds(d time.Duration) string {
	ms := (d + time.Millisecond - 1) / time.Millisecond
	return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64)
}
