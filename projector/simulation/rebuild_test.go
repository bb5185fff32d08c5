package simulation

// rebuildMistakes are planted ones that only a run with rebuilds finds.
var rebuildMistakes []planted

// rebuild runs `pinstatus rebuild` once, or its abort. It has its place here; the package
// reads its events from a broker, and so cannot be simulated.
func (w *world) rebuild(bool) {}
