package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pinstatus/pinstatus/query/client"
)

// asking is how a command asks the query service, as applications do.
type asking struct {
	url        string
	token      string
	tokenFile  string
	apiKey     string
	apiKeyFile string
	caFile     string
	sequence   uint64
}

// credentialFlags of which one is given.
var credentialFlags = []string{"token-file", "api-key-file", "token", "api-key"}

func (a *asking) flags(f *pflag.FlagSet) {
	f.StringVar(&a.url, "url", "http://127.0.0.1:8080", "`URL` of the query service")
	f.StringVar(&a.tokenFile, "token-file", "", "`file` of the token to ask with; it is read again for each request")
	f.StringVar(&a.apiKeyFile, "api-key-file", "", "`file` of the API key to ask with")
	f.StringVar(&a.token, "token", "", "`token` to ask with; others on this machine can read it here")
	f.StringVar(&a.apiKey, "api-key", "", "API `key` to ask with; others on this machine can read it here")
	f.StringVar(&a.caFile, "ca-file", "", "PEM `file` of the authorities that may vouch for the service (default: the system's)")
	for _, name := range credentialFlags {
		f.Lookup(name).Annotations = map[string][]string{lineOnly: {"true"}} // see credential
	}
}

func (a *asking) sequenceFlag(f *pflag.FlagSet) {
	f.Uint64Var(&a.sequence, "min-sequence", 0, "`sequence` of an event in the stream, as publish prints it, that the views have to include")
}

// askingHelp is what the help of commands that ask says of credentials.
const askingHelp = `
A token or an API key is needed, and best given by a file or by a variable, PINSTATUS_TOKEN or
PINSTATUS_API_KEY: what stands on a command line can be read by everybody on the machine.
PIN codes take the scope deliveries:read, and accounts pins:read.`

// client makes a client that tells on errOut why it asks again.
func (a *asking) client(cmd *cobra.Command) (*client.Client, error) {
	credential, err := a.credential(cmd.Flags(), os.Getenv)
	if err != nil {
		return nil, err
	}
	opts := []client.Option{credential, client.WithRetry(client.Retry{Notify: tellRetries(cmd.ErrOrStderr())})}
	if a.caFile != "" {
		authorities, err := os.ReadFile(a.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("--ca-file: %s holds no certificate", a.caFile)
		}
		opts = append(opts, client.WithTLS(config))
	}
	c, err := client.New(a.url, opts...)
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	return c, nil
}

// credential takes the one that the command line gives, or else that of the variables.
func (a *asking) credential(flags *pflag.FlagSet, lookup func(string) string) (client.Option, error) {
	var given []string
	for _, name := range credentialFlags {
		if flags.Changed(name) {
			given = append(given, name)
		}
	}
	names := func(name string) string { return "--" + name }
	if len(given) == 0 {
		names = variable
		for _, name := range credentialFlags {
			if value := lookup(variable(name)); value != "" {
				given = append(given, name)
				if err := flags.Set(name, value); err != nil {
					return nil, fmt.Errorf("%s: %w", variable(name), err)
				}
			}
		}
	}
	switch len(given) {
	case 0:
		return nil, errors.New("a credential is required: --token-file, --api-key-file, PINSTATUS_TOKEN or PINSTATUS_API_KEY")
	case 1:
	default:
		return nil, fmt.Errorf("%s and %s exclude each other", names(given[0]), names(given[1]))
	}
	from := names(given[0])
	switch given[0] {
	case "token-file":
		read := func(context.Context) (string, error) { return secretIn(from, a.tokenFile) }
		if _, err := read(context.Background()); err != nil {
			return nil, err
		}
		return client.WithToken(read), nil
	case "api-key-file":
		read := func(context.Context) (string, error) { return secretIn(from, a.apiKeyFile) }
		if _, err := read(context.Background()); err != nil {
			return nil, err
		}
		return client.WithAPIKeyFunc(read), nil
	case "token":
		token, err := secret(from, a.token)
		return client.WithToken(client.StaticToken(token)), err
	default:
		key, err := secret(from, a.apiKey)
		return client.WithAPIKey(key), err
	}
}

// secretIn is the secret in a file.
func secretIn(from, file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", from, err)
	}
	return secret(from, string(text))
}

// secret is a token or a key without what stands around it. An error does not show it.
func secret(from, text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", fmt.Errorf("%s: it is empty", from)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }) {
		return "", fmt.Errorf("%s: it holds more than one word, or what is no text", from)
	}
	return text, nil
}

// tellRetries tells why a request is sent again, once for each reason in a row.
func tellRetries(out io.Writer) func(error, time.Duration) {
	last := ""
	return func(err error, after time.Duration) {
		if text := err.Error(); text != last {
			last = text
			fmt.Fprintf(out, "pinstatus: %s; trying again in %s\n", printable(text), after.Round(100*time.Millisecond))
		}
	}
}

// explain names the flag that a failure is about, if it is about one, and keeps what the service
// says from being obeyed by a terminal.
func (a *asking) explain(err error) error {
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown) && a.caFile == "":
		return fmt.Errorf("--ca-file: not given, and no authority of this system vouches for the service: %w", err)
	case errors.As(err, &unknown):
		return fmt.Errorf("--ca-file: no authority in %s vouches for the service: %w", a.caFile, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("--url: the service does not speak TLS, its URL begins with http: %w", err)
	}
	var answer *client.Error
	if !errors.As(err, &answer) {
		return err
	}
	text := printable(err.Error())
	switch {
	case errors.Is(err, client.ErrBehind):
		text += fmt.Sprintf(" The position is %d.", answer.Position)
	// The service says what is wrong with a request.
	case answer.Status == http.StatusBadRequest && answer.Detail == "" && strings.HasPrefix(a.url, "http:"):
		text = fmt.Sprintf("--url: %s, and not by the service: if it speaks TLS, its URL begins with https:", text)
	}
	return errors.New(text)
}

// exitFailed is the exit status of commands that ask and get no answer.
const exitFailed = 2

// failsApart annotates a command whose failures have that status.
func failsApart() map[string]string { return map[string]string{failsWith: strconv.Itoa(exitFailed)} }
