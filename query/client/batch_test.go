package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/query/wire"
)

// Every fifth id is missing.
func batchOf(ids []string) (found, missing []string) {
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n%5 == 0 {
			missing = append(missing, id)
		} else {
			found = append(found, id)
		}
	}
	return found, missing
}

func TestBatches(t *testing.T) {
	var sizes []int
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		var asked wire.BatchRequest
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		sizes = append(sizes, len(asked.IDs))
		found, missing := batchOf(asked.IDs)
		var text strings.Builder
		for i, id := range found {
			fmt.Fprintf(&text, `%s{"pinId":%q,"accountId":%q}`, map[bool]string{true: ","}[i > 0], id, id)
		}
		list, err := json.Marshal(missing)
		if err != nil {
			t.Error(err)
		}
		answers(w, http.StatusOK, "application/json", `{"found":[`+text.String()+`],"missing":`+string(list)+`}`)
	})
	for _, tt := range []struct {
		ids   int
		sizes []int
	}{{0, nil}, {1, []int{1}}, {500, []int{500}}, {501, []int{500, 1}}, {1203, []int{500, 500, 203}}} {
		ids := make([]string, tt.ids)
		for i := range ids {
			ids[i] = strconv.Itoa(i)
		}
		found, missing := batchOf(ids)
		sizes = nil
		p, err := c.PINs(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range p.Found {
			got = append(got, v.PINID)
		}
		if !slices.Equal(got, found) || !slices.Equal(p.Missing, missing) || !slices.Equal(sizes, tt.sizes) {
			t.Errorf("%d PIN codes: found %q, missing %q, by requests of %d; want %q, %q, %d", tt.ids, got, p.Missing, sizes, found, missing, tt.sizes)
		}
		a, err := c.Accounts(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, v := range a.Found {
			got = append(got, v.AccountID)
		}
		if !slices.Equal(got, found) || !slices.Equal(a.Missing, missing) {
			t.Errorf("%d accounts: found %q, missing %q; want %q, %q", tt.ids, got, a.Missing, found, missing)
		}
	}
}

func TestFailedBatch(t *testing.T) {
	asked := 0
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			answers(w, http.StatusOK, "application/json", viewOf(t, r.RequestURI, sentBy(r).Body))
			return
		}
		answers(w, http.StatusBadRequest, "application/problem+json", `{"title":"Bad Request","detail":"ids[3] is malformed."}`)
	})
	ids := make([]string, 700)
	for i := range ids {
		ids[i] = "a"
	}
	b, err := c.Accounts(t.Context(), ids)
	if want := "get accounts: ids from 500 to 699: 400 Bad Request: ids[3] is malformed."; b != nil || err == nil || err.Error() != want {
		t.Errorf("%+v, %v; want %s", b, err, want)
	}
	_, err = c.PINs(t.Context(), []string{"a", "b"})
	if want := "get PIN codes: 400 Bad Request: ids[3] is malformed."; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
	if _, err = c.PINs(t.Context(), []string{"a", "\xff"}); err == nil || err.Error() != "get PIN codes: ids[1] is not UTF-8" || asked != 3 {
		t.Errorf("%v after %d requests; want no request", err, asked)
	}
	var answer *Error
	if errors.As(err, &answer) {
		t.Errorf("%+v: it is no answer", answer)
	}
}
