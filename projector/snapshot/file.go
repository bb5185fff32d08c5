package snapshot

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// File is a snapshot that has been opened: read through once, and found whole. It is safe
// for concurrent use.
type File struct {
	path string
	in   io.ReaderAt
	size int64
	done func() error
	*contents
}

var _ projector.Snapshot = (*File)(nil)

// Open opens a file and reads all of it, to be sure that it is whole. The error is a
// *DamagedError where it is not, and a *VersionError for another version of the format.
func Open(path string) (*File, error) {
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", path, err)
	}
	return f, nil
}

func open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	file, err := newFile(f, path)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return file, nil
}

func newFile(f *os.File, path string) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, bare(err)
	}
	if info.IsDir() {
		return nil, errors.New("a folder: name one of its files")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a file")
	}
	c, err := readThrough(f, info.Size())
	if err != nil {
		return nil, err
	}
	return &File{path: path, in: f, size: info.Size(), done: f.Close, contents: c}, nil
}

// bare is an error of package os without the path, which the caller names.
func bare(err error) error {
	var named *os.PathError
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}

// bufferedAt reads part of a file in large portions.
func bufferedAt(in io.ReaderAt, from, to int64) io.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(in, from, to-from), 256<<10)
}

// Close closes the file.
func (f *File) Close() error { return f.done() }

// ID names the snapshot by what it holds: copies of a file have the same one.
func (f *File) ID() string { return f.end.Digest }

// Generation is the number of the generation whose views it holds.
func (f *File) Generation() uint64 { return f.header.Generation }

// Position is up to where the views of partition p are whole.
func (f *File) Position(p int) view.Position {
	if p < 0 || p >= len(f.sections) {
		return view.Position{}
	}
	return f.sections[p].Position
}

// Views calls visit with the views of partition p, in portions that one commit may hold:
// always the same ones in the same order. Expiries and locks, which follow from the views, are
// not set: the projector sets them as it restores.
func (f *File) Views(ctx context.Context, p int, visit func([]projector.Write) error) error {
	err := f.portions(p, func(b *block) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var writes []projector.Write
		if err := eachView(b, func(k view.Key, value []byte) error {
			writes = append(writes, projector.Write{Key: k, Value: bytes.Clone(value)})
			return nil
		}); err != nil {
			return err
		}
		return visit(writes)
	})
	if err != nil {
		return fmt.Errorf("snapshot %s: partition %d: %w", f.path, p, err)
	}
	return nil
}

// portions calls visit with each block of views of a partition.
func (f *File) portions(p int, visit func(*block) error) error {
	if p < 0 || p >= len(f.sections) {
		return fmt.Errorf("the snapshot has %d partitions", len(f.sections))
	}
	r := &blocks{in: bufferedAt(f.in, f.starts[p], f.size), size: f.size, offset: f.starts[p]}
	for range f.sections[p].Portions {
		b, err := r.next()
		if err != nil {
			return err
		}
		if b.kind != blockViews {
			return b.damaged("the file has changed since it was opened")
		}
		if err := visit(b); err != nil {
			return err
		}
	}
	return nil
}

// Holding are those of the keys of which a view shows something. The mark that an erasure leaves
// shows nothing; what this program cannot read may show anything. It reads the partitions of the
// keys, each once.
func (f *File) Holding(ctx context.Context, keys []view.Key) (map[view.Key]bool, error) {
	wanted := map[int]map[view.Key]bool{}
	for _, k := range keys {
		p := k.Partition(f.header.Partitions)
		if wanted[p] == nil {
			wanted[p] = map[view.Key]bool{}
		}
		wanted[p][k] = true
	}
	holding := map[view.Key]bool{}
	for p, keys := range wanted {
		err := f.portions(p, func(b *block) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return eachView(b, func(k view.Key, value []byte) error {
				if keys[k] && shows(k, value) {
					holding[k] = true
				}
				return nil
			})
		})
		if err != nil {
			return nil, fmt.Errorf("snapshot %s: partition %d: %w", f.path, p, err)
		}
	}
	return holding, nil
}

func shows(k view.Key, value []byte) bool {
	if k.Kind == view.KindAccount {
		a, _, err := view.DecodeAccount(value)
		return err != nil || a.Exists || len(a.PINs) > 0
	}
	d, _, err := view.DecodeDelivery(value)
	return err != nil || !d.Erased
}

// Info is what can be said of a snapshot without its views.
type Info struct {
	Path       string        `json:"path"`
	ID         string        `json:"id"`
	Format     int           `json:"format"`
	Size       int64         `json:"size"` // bytes
	Created    time.Time     `json:"created"`
	Stream     time.Time     `json:"stream"` // creation time of the stream: its identity
	Generation uint64        `json:"generation"`
	Codec      int           `json:"codec"`
	Views      int           `json:"views"`
	Partitions []SectionInfo `json:"partitions"`
}

// SectionInfo is what can be said of one partition of a snapshot.
type SectionInfo struct {
	Partition int           `json:"partition"`
	Views     int           `json:"views"`
	Position  view.Position `json:"position"`
}

// Info is what can be said of the snapshot without its views.
func (f *File) Info() *Info {
	i := &Info{
		Path: f.path, ID: f.ID(), Format: FormatVersion, Size: f.size,
		Created: f.header.Created, Stream: time.Unix(0, f.header.Stream).UTC(),
		Generation: f.header.Generation, Codec: f.header.Codec, Views: f.end.Views,
	}
	for _, s := range f.sections {
		i.Partitions = append(i.Partitions, SectionInfo{Partition: s.Partition, Views: s.Views, Position: s.Position})
	}
	return i
}
