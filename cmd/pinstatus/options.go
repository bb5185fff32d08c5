package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pinstatus/pinstatus/consumer"
)

// options are the flags that the services and the operator commands share.
type options struct {
	httpAddr  string
	adminAddr string
	natsAddr  string
	natsURL   string
	natsCreds string
	redisURL  string
	redisKeys string
	eviction  bool
	dataDir   string
	config    string
	logLevel  string
	logFormat string

	partitions int
	replicas   int
	maxAge     time.Duration
	maxBytes   int64
	force      bool
}

func (o *options) listen(f *pflag.FlagSet) {
	f.StringVar(&o.httpAddr, "http-addr", "127.0.0.1:8080", "`address` that the API listens on")
}

func (o *options) admin(f *pflag.FlagSet) {
	f.StringVar(&o.adminAddr, "admin-addr", "127.0.0.1:9090", "`address` of /metrics, /livez and /readyz")
}

func (o *options) nats(f *pflag.FlagSet, missing string) {
	f.StringVar(&o.natsURL, "nats-url", "", "`URL`s of the NATS servers, separated by commas ("+missing+")")
	f.StringVar(&o.natsCreds, "nats-creds", "", "NATS credentials `file`")
}

func (o *options) redis(f *pflag.FlagSet, missing string) {
	f.StringVar(&o.redisURL, "redis-url", "", "`URL` of Redis: redis://, rediss://, unix://, redis+cluster://, redis+sentinel:// ("+missing+")")
	f.StringVar(&o.redisKeys, "redis-prefix", "", "`prefix` of all keys, to keep several installations on one Redis apart")
	f.BoolVar(&o.eviction, "allow-eviction", false, "start although Redis may evict keys; an evicted lock is still answered from its view")
}

func (o *options) stream(f *pflag.FlagSet) {
	f.IntVar(&o.partitions, "partitions", 0, "`number` of partitions of the event stream (default: as it is; 16 for a new one)")
	f.IntVar(&o.replicas, "stream-replicas", 0, "`number` of copies that a NATS cluster keeps of each stream (default: as it is; 1 for a new one)")
}

// streams is how the streams are to be.
func (o *options) streams() consumer.Streams {
	s := consumer.Streams{Partitions: o.partitions, Replicas: o.replicas, Force: o.force}
	if o.maxAge != 0 || o.maxBytes != 0 {
		s.Limits = &consumer.Limits{MaxAge: o.maxAge, MaxBytes: o.maxBytes}
	}
	return s
}

func (o *options) configured(f *pflag.FlagSet, missing string) {
	f.StringVar(&o.config, "config", "", "configuration `file` ("+missing+")")
}

func (o *options) logging(f *pflag.FlagSet) {
	f.StringVar(&o.logLevel, "log-level", "info", "least `level` that is logged: debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "auto", "`format` of the log: json, console, or auto: console on a terminal")
}

// logger is the process' log, on standard error.
func (o *options) logger() (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(o.logLevel)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	format := o.logFormat
	if format == "auto" {
		format = "json"
		if isTerminal(os.Stderr) {
			format = "console"
		}
	}
	cfg := zap.NewProductionConfig()
	cfg.Level = zap.NewAtomicLevelAt(level)
	cfg.DisableStacktrace = true
	cfg.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	cfg.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder
	switch format {
	case "json":
	case "console":
		cfg.Encoding = "console"
		cfg.DisableCaller = true
		cfg.EncoderConfig.EncodeLevel = zapcore.CapitalLevelEncoder
		cfg.EncoderConfig.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	default:
		return nil, fmt.Errorf("--log-format: %q is not json, console or auto", o.logFormat)
	}
	log, err := cfg.Build()
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return log, nil
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
