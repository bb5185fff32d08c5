package redisstore

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// form is how the servers behind a URL work together.
type form int

const (
	formSingle form = iota
	formCluster
	formSentinel
)

// schemes are the schemes that Dial takes: go-redis' own, and what follows them.
var schemes = map[string]struct {
	base string
	form form
	port string // the default
}{
	"redis":           {"redis", formSingle, "6379"},
	"rediss":          {"rediss", formSingle, "6379"},
	"unix":            {"unix", formSingle, ""},
	"redis+cluster":   {"redis", formCluster, "6379"},
	"rediss+cluster":  {"rediss", formCluster, "6379"},
	"redis+sentinel":  {"redis", formSentinel, "26379"},
	"rediss+sentinel": {"rediss", formSentinel, "26379"},
}

// replicaParameters would let replicas answer.
var replicaParameters = []string{
	"read_only", "route_by_latency", "route_by_latency_tolerance", "route_randomly", "replica_only", "use_disconnected_replicas",
}

// serverURL is a URL in parts. It is split by hand before net/url sees it: that does not
// take a list of hosts, and its errors, and those of go-redis, may show a part of a
// password that was not escaped.
type serverURL struct {
	base     string // scheme
	form     form
	userinfo string // escaped; with the @, or empty
	hosts    []string
	path     string // escaped
	query    string
}

func splitURL(raw string) (*serverURL, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	s, known := schemes[scheme]
	if !ok || !known {
		return nil, errors.New("it does not begin with redis://, rediss://, unix://, redis+cluster://, rediss+cluster://, " +
			"redis+sentinel:// or rediss+sentinel://")
	}
	u := &serverURL{base: s.base, form: s.form}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, rest = rest[:i], rest[i:]
	} else {
		rest = ""
	}
	if strings.ContainsAny(rest, "@#") {
		return nil, errors.New("it has an @ or # behind its hosts: these, and / ? # @ in a password, must be percent-encoded")
	}
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		u.userinfo, authority = authority[:i+1], authority[i+1:]
		if _, err := url.PathUnescape(u.userinfo); err != nil {
			return nil, errors.New("the user or password has a % that is not a percent-encoding")
		}
	}
	u.path, u.query, _ = strings.Cut(rest, "?")
	if s.base == "unix" {
		if authority != "" || len(u.path) < 2 {
			return nil, errors.New("a unix socket has a path and no host: unix:///path/of/socket")
		}
		return u, u.check()
	}
	for host := range strings.SplitSeq(authority, ",") {
		addr, err := hostPort(host, s.port)
		if host == "" && s.form != formSingle {
			err = errors.New("is not there")
		}
		if err != nil {
			return nil, fmt.Errorf("host %d of it %w", len(u.hosts)+1, err)
		}
		u.hosts = append(u.hosts, addr)
	}
	return u, u.check()
}

// check refuses what go-redis would take or ignore, or answer with too much.
func (u *serverURL) check() error {
	switch {
	case u.form == formSingle && len(u.hosts) > 1:
		return errors.New("it has several hosts: is it a redis+cluster:// or redis+sentinel:// one?")
	case u.form == formCluster && u.database() != "" && u.database() != "0":
		return errors.New("a Redis Cluster has database 0 only")
	case u.base != "unix" && strings.Trim(u.database(), "0123456789") != "":
		return errors.New("its path is not a database number")
	}
	query, err := url.ParseQuery(u.query)
	if err != nil {
		return errors.New("its query is not well formed")
	}
	for _, name := range replicaParameters {
		if query.Has(name) {
			return fmt.Errorf("it has %s, and views are read from primaries only", name)
		}
	}
	return nil
}

// database is the number of the database as the path has it.
func (u *serverURL) database() string { return strings.TrimPrefix(u.path, "/") }

// hostPort completes a host. An error does not show it: it may be a password that lost its
// host.
func hostPort(s, defaultPort string) (string, error) {
	host, port := s, defaultPort
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("has no port number behind its colon")
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if _, err := netip.ParseAddr(inner); !ok || err != nil {
			return "", errors.New("is not an address within brackets")
		}
		return net.JoinHostPort(inner, port), nil
	}
	if strings.ContainsFunc(host, notOfHost) {
		return "", errors.New("is neither a name, nor an IPv4 address, nor an IPv6 address within brackets")
	}
	if host == "" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}

func notOfHost(r rune) bool {
	return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// String is the URL as go-redis parses it for the form: further hosts are parameters.
func (u *serverURL) String() string {
	var b strings.Builder
	b.WriteString(u.base + "://" + u.userinfo)
	if len(u.hosts) > 0 {
		b.WriteString(u.hosts[0])
	}
	b.WriteString(u.path)
	sep := "?"
	if u.query != "" {
		b.WriteString("?" + u.query)
		sep = "&"
	}
	for i, host := range u.hosts {
		if i > 0 {
			b.WriteString(sep + "addr=" + url.QueryEscape(host))
			sep = "&"
		}
	}
	return b.String()
}

// explain takes the URL and what may be part of a password out of an error of go-redis.
func (u *serverURL) explain(err error) error {
	if strings.Contains(u.query, "password") {
		return errors.New("its query has an unknown or malformed parameter: & and = in a password must be percent-encoded")
	}
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
