package audit

// Strangers has so many views that the fold has not looked at in one pass.
func Strangers(n int) func(*Options) { return func(o *Options) { o.strangers = n } }
