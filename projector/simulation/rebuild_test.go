package simulation

// rebuild runs `pinstatus rebuild` once, or its abort. It has its place here; the package
// reads its events from a broker, and so cannot be simulated.
func (w *world) rebuild(bool) {}
