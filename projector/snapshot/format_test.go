package snapshot

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

var update = flag.Bool("update", false, "write the golden file anew: only for a format version that nobody has used yet")

const testStart = int64(1_795_255_200_000_000_000) // 2026-11-21T10:00:00Z

// sample is a small file in which every part of the format is in use.
func sample(tb testing.TB) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := newWriter(&out, &header{
		Created: time.Unix(0, testStart).UTC(), Stream: 1_700_000_000_000_000_000, Partitions: 2, Generation: 3, Codec: 1,
		First: 7, Last: 1042, Missing: 6,
	})
	if err != nil {
		tb.Fatal(err)
	}
	views := map[int][]view.Key{}
	for i := 0; len(views[0]) < 2 || len(views[1]) < 1; i++ {
		k := view.Key{Kind: view.KindPIN, Tenant: "acme", ID: fmt.Sprint("code/", i)}
		if i%2 == 1 {
			k.Kind = view.KindAccount
		}
		p := k.Partition(2)
		views[p] = append(views[p], k)
	}
	for _, p := range []int{1, 0} {
		for _, k := range views[p] {
			if err := w.add(k, []byte("value of "+k.ID)); err != nil {
				tb.Fatal(err)
			}
		}
		if err := w.endPartition(p, view.Position{
			Sequence: uint64(1000 + p), Witness: testStart, Stream: 1_700_000_000_000_000_000, Partitions: 2, Codec: 1, Policy: 5, PolicyHash: "5e88",
		}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// dump is everything that can be read of a file.
func dump(in io.ReaderAt, size int64) (string, error) {
	c, err := readThrough(in, size)
	if err != nil {
		return "", err
	}
	f := &File{path: "file", in: in, size: size, contents: c}
	var text strings.Builder
	fmt.Fprintf(&text, "%+v\nid %s, %d views\n", f.header, f.ID(), f.end.Views)
	for p := range f.sections {
		fmt.Fprintf(&text, "partition %d: %s\n", p, f.Position(p).Append(nil))
		if err := f.Views(context.Background(), p, func(writes []projector.Write) error {
			fmt.Fprintf(&text, "portion of %d\n", len(writes))
			for _, w := range writes {
				fmt.Fprintf(&text, "%d %s %s: %q\n", w.Key.Kind, w.Key.Tenant, w.Key.ID, w.Value)
			}
			return nil
		}); err != nil {
			return "", err
		}
	}
	return text.String(), nil
}

// The form of a file may not change without FormatVersion: files are kept for long, and a
// reader takes what has its own version for its own.
func TestGolden(t *testing.T) {
	golden := fmt.Sprintf("testdata/format-v%d.golden", FormatVersion)
	data := sample(t)
	read, err := dump(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	got := hex.Dump(data) + "\n" + read
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("the form of a file has changed and FormatVersion has not (-want +got):\n%s", d)
	}
}

// Wherever a file is cut off or a bit of it differs, reading says so, and where.
func TestDamage(t *testing.T) {
	data := sample(t)
	open := func(data []byte) error {
		_, err := readThrough(bytes.NewReader(data), int64(len(data)))
		return err
	}
	if err := open(data); err != nil {
		t.Fatal(err)
	}
	var version *VersionError
	for n := range data {
		var damage *DamagedError
		if err := open(data[:n]); !errors.As(err, &damage) || damage.Offset > int64(n) || !strings.Contains(err.Error(), "cut off") {
			t.Fatalf("cut off after %d bytes: %v", n, err)
		}
		for bit := range 8 {
			flipped := bytes.Clone(data)
			flipped[n] ^= 1 << bit
			err := open(flipped)
			if n == len(magic) && errors.As(err, &version) {
				continue
			}
			if !errors.As(err, &damage) || damage.Offset > int64(n) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, n, err)
			}
		}
	}
	if err := open(append(bytes.Clone(data), 0)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("damaged at offset %d: 1 bytes behind the end", len(data))) {
		t.Errorf("a byte too many: %v", err)
	}
}

// A block in the place of another is damage too, although each is whole.
func TestMovedBlocks(t *testing.T) {
	data := sample(t)
	c, err := readThrough(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	first, second := c.starts[1], c.starts[0] // partition 1 comes first
	end := bytes.LastIndexByte(data, blockEnd)
	swapped := append(bytes.Clone(data[:first]), data[second:end]...)
	swapped = append(append(swapped, data[first:second]...), data[end:]...)
	if _, err := readThrough(bytes.NewReader(swapped), int64(len(swapped))); err == nil || !strings.Contains(err.Error(), fmt.Sprint("offset ", first)) {
		t.Errorf("swapped sections: %v", err)
	}
}

func TestOpenWhatIsNoSnapshot(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("{\"json\": true, \"and\": \"long enough\"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer")
	if err := os.WriteFile(newer, append([]byte(magic), 9), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{text, "snapshot " + text + ": damaged at offset 0: this is no snapshot"},
		{newer, "snapshot " + newer + ": format version 9, and this program reads 1"},
		{dir, "snapshot " + dir + ": a folder: name one of its files"},
		{"/dev/null", "snapshot /dev/null: not a file"},
		{filepath.Join(dir, "none"), "snapshot " + filepath.Join(dir, "none") + ": no such file or directory"},
	} {
		if _, err := Open(tt.path); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// A length asks for memory only as far as the file reaches.
func TestLengthsAskForNoMemory(t *testing.T) {
	data := sample(t)[:blockFrom]
	data = append(data, blockViews, 0xff, 0xff, 0xff, 0x03) // 64 MiB
	data = append(data, make([]byte, 100)...)
	lie := int64(1 << 40) // so the size lets it pass
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := &blocks{in: bytes.NewReader(data[blockFrom:]), size: lie, offset: blockFrom}
			if _, err := r.next(); err == nil {
				b.Fatal("no error")
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 1<<20 {
		t.Errorf("%d bytes allocated for a block of 109", allocated)
	}
	for _, kind := range []byte{blockViews, blockHeader} {
		r := &blocks{in: bytes.NewReader([]byte{kind, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}), size: lie}
		if _, err := r.next(); err == nil || !strings.Contains(err.Error(), "are the most") {
			t.Errorf("block %q of 4 GiB: %v", kind, err)
		}
	}
}

func TestPortions(t *testing.T) {
	var out bytes.Buffer
	w, err := newWriter(&out, &header{Partitions: 1, Codec: 1})
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{portionBytes / 2, portionBytes / 2, 1, 3 * portionBytes, 1}
	for range portionViews {
		sizes = append(sizes, 1)
	}
	for i, size := range sizes {
		if err := w.add(view.Key{Kind: view.KindPIN, Tenant: "acme", ID: fmt.Sprint(i)}, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.add(view.Key{Kind: view.KindPIN}, make([]byte, maxViews)); err == nil {
		t.Error("a view was taken that no reader would read")
	}
	if err := w.endPartition(0, view.Position{Partitions: 1, Codec: 1}); err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	f := &File{in: bytes.NewReader(out.Bytes()), size: int64(out.Len())}
	if f.contents, err = readThrough(f.in, f.size); err != nil {
		t.Fatal(err)
	}
	var got []int
	for range 2 { // always the same
		got = nil
		if err := f.Views(t.Context(), 0, func(writes []projector.Write) error {
			got = append(got, len(writes))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int{1, 2, 1, portionViews, 1}; !cmp.Equal(got, want) {
		t.Errorf("portions of %v views, want %v", got, want)
	}
}
