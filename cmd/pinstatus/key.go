package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
)

// keyPrefix begins every API key that is made here: whoever finds one in a file or a log, a
// person or a secret scanner, knows what it is. Keys are pst_[A-Z2-7]{26}, 130 random bits.
const keyPrefix = "pst_"

// madeKey is an API key, and the entry of the configuration that lets it in.
type madeKey struct {
	key   string
	entry config.APIKey
}

func newKey() *cobra.Command {
	cmd := group(&cobra.Command{Use: "key", Short: "API keys"})
	var name, expires string
	var scopes []string
	var asJSON bool
	create := &cobra.Command{
		Use: "new", Short: "Make an API key and its entry in the configuration", Args: cobra.NoArgs,
		Long: `Make an API key. It is printed once and stored nowhere: give it to whoever asks the API,
who sends it as "Authorization: App <key>".

Its entry goes under apiKeys of a tenant in the configuration file, and takes effect
without a restart. It holds the key's hash alone, so the file is no secret.

To replace a key, add an entry with the same --name beside the old one. Both keys are good
until the old entry expires or is taken out.`,
		Example: `  pinstatus key new --name support-desk --expires 90d
  pinstatus key new --name back-office --scope deliveries:read --scope pins:read`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := makeKey(name, scopes, expires, time.Now())
			if err != nil {
				return err
			}
			if asJSON {
				return k.json(cmd.OutOrStdout())
			}
			return k.print(cmd.OutOrStdout())
		},
	}
	f := create.Flags()
	f.StringVar(&name, "name", "", "name of the client, as it shows in logs (default new-client)")
	f.StringSliceVar(&scopes, "scope", []string{config.ScopeDeliveriesRead}, "what the key may read: "+strings.Join(config.Scopes, " or ")+"; may be given more than once")
	f.StringVar(&expires, "expires", "", "when the key ends: in so long, like 90d or 12h, or a time, like 2027-03-31T00:00:00Z (default never)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(create)
	return cmd
}

func makeKey(name string, scopes []string, expires string, now time.Time) (*madeKey, error) {
	if name == "" {
		name = "new-client"
	}
	k := &madeKey{key: keyPrefix + rand.Text()}
	k.entry = config.APIKey{Name: name, SHA256: sha256.Sum256([]byte(k.key)), Scopes: scopes}
	var faults []error
	if err := k.entry.Check(); err != nil {
		faults = append(faults, byFlag(err))
	}
	if expires != "" {
		var err error
		if k.entry.Expires, err = parseExpiry(expires, now); err != nil {
			faults = append(faults, fmt.Errorf("--expires: %w", err))
		}
	}
	return k, errors.Join(faults...)
}

// byFlag names the flags that an entry's faulty members come from.
func byFlag(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var all []error
	for _, err := range joined.Unwrap() {
		var e *config.Error
		if !errors.As(err, &e) {
			return err
		}
		member, _, _ := strings.Cut(strings.TrimPrefix(e.Path, "apiKey."), "[")
		all = append(all, fmt.Errorf("--%s: %s", strings.TrimSuffix(member, "s"), e.Message))
	}
	return errors.Join(all...)
}

var days = regexp.MustCompile(`^[0-9]{1,5}d$`)

// parseExpiry reads a time to come, or how far off it lies, in whole seconds.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	var at time.Time
	if days.MatchString(s) {
		n, err := strconv.Atoi(strings.TrimSuffix(s, "d"))
		if err != nil {
			return time.Time{}, err
		}
		at = now.AddDate(0, 0, n)
	} else if d, err := time.ParseDuration(s); err == nil {
		at = now.Add(d)
	} else if err := at.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time, like 2027-03-31T00:00:00Z, nor how far off it is, like 90d or 12h", s)
	}
	at = at.UTC().Truncate(time.Second)
	if !at.After(now) {
		return time.Time{}, fmt.Errorf("%s is not to come", at.Format(time.RFC3339))
	}
	return at, nil
}

func (k *madeKey) print(out io.Writer) error {
	entry, err := k.entry.YAML()
	if err != nil {
		return err
	}
	indented := "    " + strings.ReplaceAll(strings.TrimSuffix(string(entry), "\n"), "\n", "\n    ")
	_, err = fmt.Fprintf(out, `key:    %s
sha256: %x

The key is not shown again. Its entry under a tenant of the configuration file:

%s
`, k.key, k.entry.SHA256, indented)
	return err
}

func (k *madeKey) json(out io.Writer) error {
	made := struct {
		Key     string     `json:"key"`
		Name    string     `json:"name"`
		SHA256  string     `json:"sha256"`
		Scopes  []string   `json:"scopes"`
		Expires *time.Time `json:"expires,omitempty"`
	}{Key: k.key, Name: k.entry.Name, SHA256: hex.EncodeToString(k.entry.SHA256[:]), Scopes: k.entry.Scopes}
	if !k.entry.Expires.IsZero() {
		made.Expires = &k.entry.Expires
	}
	return json.NewEncoder(out).Encode(made)
}
