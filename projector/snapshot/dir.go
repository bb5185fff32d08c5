package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
)

// Extension ends the names of the files that a Dir looks at.
const Extension = ".snapshot"

// Names of the files that a Dir makes by itself; no other file is ever removed.
const (
	autoPrefix = "pinstatus-"
	autoTime   = "20060102T150405.000Z"
)

// Dir is a folder of snapshots. It is safe for concurrent use.
type Dir struct {
	path string
	log  *zap.Logger

	mu   sync.Mutex
	seen map[string]*seen // by name: files that have been read through
}

var _ projector.Snapshots = (*Dir)(nil)

// seen is what came of reading a file, which holds for as long as the file is the same.
type seen struct {
	size     int64
	modified time.Time
	contents *contents // nil if it cannot be used
	fault    error
	told     string // why it was last refused
}

// NewDir is the folder at path, which need not exist yet.
func NewDir(path string, log *zap.Logger) *Dir {
	return &Dir{path: path, log: log, seen: map[string]*seen{}}
}

// Find returns the newest snapshot from which the views of the stream can be restored, spread
// over so many partitions; nil if there is none. Why a file was passed over it logs, once for
// each reason. An error is one of reading the folder, or of asking the stream.
func (d *Dir) Find(ctx context.Context, s consumer.Stream, partitions int) (projector.Snapshot, error) {
	f, err := d.find(ctx, s, partitions)
	if f == nil || err != nil {
		return nil, err
	}
	return f, nil
}

func (d *Dir) find(ctx context.Context, s consumer.Stream, partitions int) (*File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	var found []*peeked
	for _, name := range names {
		p, err := d.peek(name)
		if err != nil {
			d.refuse(name, err)
			continue
		}
		found = append(found, p)
	}
	slices.SortFunc(found, func(a, b *peeked) int {
		return cmp.Or(b.created.Compare(a.created), cmp.Compare(b.name, a.name))
	})
	for _, p := range found {
		f, err := d.open(p.name)
		if err != nil {
			d.refuse(p.name, err)
			continue
		}
		err = f.Fits(ctx, s, partitions)
		if err == nil {
			return f, nil
		}
		_ = f.Close()
		var unfit *UnfitError
		if !errors.As(err, &unfit) {
			return nil, fmt.Errorf("snapshot %s: %w", f.path, err)
		}
		d.refuse(p.name, err)
	}
	return nil, nil
}

// peeked is a file of which only the header was read.
type peeked struct {
	name    string
	created time.Time
}

func (d *Dir) peek(name string) (*peeked, error) {
	in, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return nil, bare(err)
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a file")
	}
	h, err := readHeader(in, info.Size())
	if err != nil {
		return nil, err
	}
	return &peeked{name, h.Created}, nil
}

// names are the names of the folder's snapshots. A folder that does not exist has none.
func (d *Dir) names() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, Extension) && !strings.HasPrefix(name, ".") && !e.IsDir() {
			names = append(names, name)
		}
	}
	for name := range d.seen {
		if !slices.Contains(names, name) {
			delete(d.seen, name)
		}
	}
	return names, nil
}

// open opens a file, and reads it through unless it is one that has been read before.
func (d *Dir) open(name string) (*File, error) {
	path := filepath.Join(d.path, name)
	in, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	info, err := in.Stat()
	if err != nil {
		_ = in.Close()
		return nil, bare(err)
	}
	known := d.seen[name]
	if known == nil || known.size != info.Size() || !known.modified.Equal(info.ModTime()) {
		known = &seen{size: info.Size(), modified: info.ModTime()}
		known.contents, known.fault = readThrough(in, info.Size())
		d.seen[name] = known
	}
	if known.fault != nil {
		_ = in.Close()
		return nil, known.fault
	}
	return &File{path: path, in: in, size: info.Size(), done: in.Close, contents: known.contents}, nil
}

// refuse says why a file is of no use, unless that has been said.
func (d *Dir) refuse(name string, why error) {
	known := d.seen[name]
	if known == nil {
		known = &seen{}
		d.seen[name] = known
	}
	if known.told == why.Error() {
		return
	}
	known.told = why.Error()
	d.log.Warn("a snapshot was passed over", zap.String("file", filepath.Join(d.path, name)), zap.Error(why))
}

// Save saves a snapshot under a name of its time, and removes all but the newest keep of those
// that were saved so.
func (d *Dir) Save(ctx context.Context, o Source, keep int) (*Info, error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	info, err := Save(ctx, o, filepath.Join(d.path, autoPrefix+o.Now().UTC().Format(autoTime)+Extension))
	if err != nil {
		return nil, err
	}
	if err := d.prune(keep); err != nil {
		d.log.Warn("old snapshots were not removed", zap.Error(err))
	}
	return info, nil
}

// prune removes the oldest of the files that Save made, until keep of them are left.
func (d *Dir) prune(keep int) error {
	names, err := d.autoNames()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names[:max(len(names)-max(keep, 1), 0)] {
		errs = append(errs, os.Remove(filepath.Join(d.path, name)))
	}
	return errors.Join(errs...)
}

// autoNames are the names of the files that Save made, oldest first.
func (d *Dir) autoNames() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		stamp, ok := strings.CutPrefix(strings.TrimSuffix(name, Extension), autoPrefix)
		_, err := time.Parse(autoTime, stamp)
		return !ok || err != nil
	})
	slices.Sort(names)
	return names, nil
}

// abandoned is how long nothing has been written into the folder of a snapshot that a process
// which ended did not finish.
const abandoned = time.Hour

// tidy removes what processes that ended have left.
func (d *Dir) tidy() error {
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		folder := filepath.Join(d.path, e.Name())
		if last, err := lastWrite(folder); err == nil && time.Since(last) > abandoned {
			errs = append(errs, os.RemoveAll(folder))
		}
	}
	return errors.Join(errs...)
}

// lastWrite is when something was last written in a folder.
func lastWrite(folder string) (time.Time, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return time.Time{}, err
	}
	last := info.ModTime()
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last, err
}
