package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pinstatus/pinstatus/projector/lease"
)

// options are the flags that the services and the operator commands share.
type options struct {
	listening
	adminAddr  string
	natsAddr   string
	natsURL    string
	natsCreds  string
	natsNKey   string
	natsTrust  trust
	redisURL   string
	redisKeys  string
	eviction   bool
	redisTrust trust
	dataDir    string
	config     string
	leaseTime  time.Duration
	snapshots  string
	logLevel   string
	logFormat  string

	partitions int
	replicas   int
	maxAge     time.Duration
	maxBytes   int64
	force      bool
	accept     bool

	flags *pflag.FlagSet // of the command; knows which were given
}

func (o *options) admin(f *pflag.FlagSet) {
	f.StringVar(&o.adminAddr, "admin-addr", "127.0.0.1:9090", "`address` of /metrics, /livez and /readyz")
}

func (o *options) embedded(f *pflag.FlagSet) {
	f.StringVar(&o.natsAddr, "nats-addr", "127.0.0.1:4222", "`address` that the embedded NATS server listens on")
	f.StringVar(&o.dataDir, "data-dir", "pinstatus-data", "`folder` of the embedded NATS server's streams")
}

func (o *options) nats(f *pflag.FlagSet, missing string) {
	o.flags = f
	f.StringVar(&o.natsURL, "nats-url", "", "`URL`s of the NATS servers, separated by commas ("+missing+")")
	f.StringVar(&o.natsCreds, "nats-creds", "", "NATS credentials `file`")
	f.StringVar(&o.natsNKey, "nats-nkey", "", "`file` of an NKey seed, where NATS knows users by NKey")
	o.natsTrust.flags(f, "nats", "NATS")
}

func (o *options) redis(f *pflag.FlagSet, missing string) {
	f.StringVar(&o.redisURL, "redis-url", "", "`URL` of Redis: redis://, rediss://, unix://, redis+cluster://, redis+sentinel:// ("+missing+")")
	f.StringVar(&o.redisKeys, "redis-prefix", "", "`prefix` of all keys, to keep several installations on one Redis apart")
	f.BoolVar(&o.eviction, "allow-eviction", false, "start although Redis may evict keys; an evicted lock is still answered from its view")
	o.redisTrust.flags(f, "redis", "Redis")
}

func (o *options) stream(f *pflag.FlagSet) {
	f.IntVar(&o.partitions, "partitions", 0, "`number` of partitions of the event stream (default: as it is; 16 for a new one)")
	f.IntVar(&o.replicas, "stream-replicas", 0, "`number` of copies that a NATS cluster keeps of each stream (default: as it is; 1 for a new one)")
}

func (o *options) limits(f *pflag.FlagSet) {
	f.DurationVar(&o.maxAge, "max-age", 0,
		"`time` that an event is kept, 0 to lift the limit; views can only be rebuilt from what the stream holds (default: as it is; no limit for a new stream)")
	f.Int64Var(&o.maxBytes, "max-bytes", 0,
		"`size` in bytes at which the event stream refuses events, 0 to lift the limit (default: as it is; no limit for a new stream)")
}

func (o *options) configured(f *pflag.FlagSet, missing string) {
	f.StringVar(&o.config, "config", "", "configuration `file` ("+missing+")")
}

func (o *options) project(f *pflag.FlagSet) {
	f.DurationVar(&o.leaseTime, "lease-time", lease.DefaultLeaseTime,
		"`time` after which the partitions of a projector that is not heard of any more go to others")
	o.restoring(f)
}

func (o *options) restoring(f *pflag.FlagSet) {
	f.StringVar(&o.snapshots, "snapshot-dir", "", "`folder` of snapshots, from which views come that the stream alone cannot give back")
}

// snapshotsThere refuses a folder of snapshots that cannot be read: where they were not
// mounted, or the path is misspelt, that would come to light only once they are needed.
func (o *options) snapshotsThere() error {
	if o.snapshots == "" {
		return nil
	}
	if _, err := os.ReadDir(o.snapshots); err != nil {
		return fmt.Errorf("--snapshot-dir: %w", err)
	}
	return nil
}

func (o *options) logging(f *pflag.FlagSet) {
	f.StringVar(&o.logLevel, "log-level", "info", "least `level` that is logged: debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "auto", "`format` of the log: json, console, or auto: console on a terminal")
}

const (
	formatJSON    = "json"
	formatConsole = "console"
)

// format is the format of a log that goes to out.
func (o *options) format(out io.Writer) string {
	if o.logFormat != "auto" {
		return o.logFormat
	}
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		return formatConsole
	}
	return formatJSON
}

// logger is the process' log.
func (o *options) logger(out io.Writer) (*zap.Logger, error) {
	level, ok := map[string]zapcore.Level{
		"debug": zap.DebugLevel, "info": zap.InfoLevel, "warn": zap.WarnLevel, "error": zap.ErrorLevel,
	}[strings.ToLower(o.logLevel)]
	if !ok {
		return nil, fmt.Errorf("--log-level: %q is not debug, info, warn or error", o.logLevel)
	}
	form := zap.NewProductionEncoderConfig()
	form.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	form.EncodeDuration = zapcore.StringDurationEncoder
	sink := zapcore.Lock(zapcore.AddSync(out))
	opts := []zap.Option{zap.ErrorOutput(sink)}
	var encoder zapcore.Encoder
	switch o.format(out) {
	case formatJSON:
		encoder = zapcore.NewJSONEncoder(form)
		opts = append(opts, zap.AddCaller())
	case formatConsole:
		form.EncodeLevel = zapcore.CapitalLevelEncoder
		form.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoder = zapcore.NewConsoleEncoder(form)
	default:
		return nil, fmt.Errorf("--log-format: %q is not json, console or auto", o.logFormat)
	}
	// Of one message a hundred a second are enough, and then each hundredth.
	core := zapcore.NewSamplerWithOptions(zapcore.NewCore(encoder, sink, level), time.Second, 100, 100)
	return zap.New(core, opts...), nil
}

// onlyLoopback refuses addresses that others could reach.
func onlyLoopback(addresses map[string]string) error {
	var errs []error
	for flag, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
			continue
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			errs = append(errs, fmt.Errorf(
				"--%s: without --config there is only the demo tenant, whose keys stand in the log: %s is not a loopback address", flag, address))
		}
	}
	return errors.Join(errs...)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
