package audit

import "time"

// Strangers has so many views that the fold has not looked at in one pass.
func Strangers(n int) func(*Options) { return func(o *Options) { o.strangers = n } }

// GiveUp has the audit wait for the broker for so long.
func GiveUp(after time.Duration) func(*Options) { return func(o *Options) { o.giveUp = after } }
