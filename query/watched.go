package query

import "context"

// WatchEnd says in one word why a watch has ended. It is a label value of
// pinstatus_query_watches_ended_total.
type WatchEnd string

// The ends.
const (
	WatchLeft     WatchEnd = "left"     // its client has gone, or the way to it is cut
	WatchSlow     WatchEnd = "slow"     // its client has not taken what it was sent
	WatchExpired  WatchEnd = "expired"  // its credential has
	WatchDraining WatchEnd = "draining" // the service drains
	WatchReload   WatchEnd = "reload"   // the tenants have changed
	WatchFault    WatchEnd = "fault"    // an internal one
)

var watchEnds = []WatchEnd{WatchLeft, WatchSlow, WatchExpired, WatchDraining, WatchReload, WatchFault}

// WatchEnded counts that the watch of the request with ctx, which had begun, has ended, and
// has the request's line in the log say why.
func (s *Service) WatchEnded(ctx context.Context, why WatchEnd) {
	s.metrics.ended.WithLabelValues(string(why)).Inc()
	exchangeOf(ctx).ended = why
}
