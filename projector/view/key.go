package view

import (
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Kind is the kind of a view.
type Kind uint8

// The kinds of view.
const (
	KindPIN     Kind = iota + 1 // a PIN code: Delivery
	KindAccount                 // an account: Account
)

// Key names a view. ID is the PIN code id or the account id as it stands in events, not
// escaped.
type Key struct {
	Kind   Kind
	Tenant string
	ID     string
}

// Partition is the partition that the view lives in, of so many.
func (k Key) Partition(partitions int) int {
	return event.Partition(k.Tenant, event.EscapeToken(k.ID), partitions)
}

// Keyspace builds the names of all keys of one generation in Redis. All keys of a
// partition share a hash tag, so that one commit is one slot's business in Redis Cluster.
type Keyspace struct {
	prefix string
	tags   []string
}

// clusterSlots is the number of hash slots of Redis Cluster.
const clusterSlots = 16384

// NewKeyspace is the keyspace of a generation with so many partitions; prefix keeps
// several installations on one Redis apart and may be empty.
//
// The tag of partition p is "<generation>.<p>" and a salt: the smallest number that puts
// the tag into the p-th of equal shares of the cluster's slots. Without it sixteen
// partitions leave four of eight equal shards empty.
func NewKeyspace(prefix string, generation uint64, partitions int) *Keyspace {
	ks := &Keyspace{prefix: prefix, tags: make([]string, partitions)}
	for p := range partitions {
		from := p * clusterSlots / partitions
		to := max((p+1)*clusterSlots/partitions, from+1)
		base := strconv.FormatUint(generation, 10) + "." + strconv.Itoa(p)
		tag := base
		for salt := 1; ; salt++ {
			if slot := int(crc16(tag)) % clusterSlots; slot >= from && slot < to {
				break
			}
			tag = base + "." + strconv.Itoa(salt)
		}
		ks.tags[p] = tag
	}
	return ks
}

// Partitions is the number of partitions of the generation.
func (ks *Keyspace) Partitions() int { return len(ks.tags) }

func (ks *Keyspace) name(p int, rest ...string) string {
	n := len(ks.prefix) + len(ks.tags[p]) + 2
	for _, s := range rest {
		n += len(s)
	}
	b := make([]byte, 0, n)
	b = append(b, ks.prefix...)
	b = append(b, '{')
	b = append(b, ks.tags[p]...)
	b = append(b, '}')
	for _, s := range rest {
		b = append(b, s...)
	}
	return string(b)
}

// Position is the key of partition p's position record.
func (ks *Keyspace) Position(p int) string { return ks.name(p, ":pos") }

// View is the key of a view in partition p.
func (ks *Keyspace) View(p int, k Key) string {
	kind := ":pin:"
	if k.Kind == KindAccount {
		kind = ":account:"
	}
	return ks.name(p, kind, k.Tenant, ":", event.EscapeToken(k.ID))
}

// Lock is the key of a PIN type's lock; its time to live is the lock's remaining time.
func (ks *Keyspace) Lock(p int, k Key, pinType string) string {
	return ks.name(p, ":lock:", k.Tenant, ":", event.EscapeToken(k.ID), ":", event.EscapeToken(pinType))
}

// Lease is the key of partition p's lease.
func (ks *Keyspace) Lease(p int) string { return ks.name(p, ":lease") }

// Slot is the hash slot of Redis Cluster that partition p lives in.
func (ks *Keyspace) Slot(p int) int { return int(crc16(ks.tags[p])) % clusterSlots }

// PartitionPattern is the glob pattern of the names of all keys of partition p.
func (ks *Keyspace) PartitionPattern(p int) string { return escapeGlob(ks.name(p)) + "*" }

// Pattern is a glob pattern that the names of all keys of the generation match, and few
// others.
func (ks *Keyspace) Pattern() string {
	generation, _, _ := strings.Cut(ks.tags[0], ".")
	return escapeGlob(ks.prefix+"{"+generation) + ".*"
}

// LockPattern is a glob pattern that the names of all lock keys of the generation match, and
// few others.
func (ks *Keyspace) LockPattern() string { return ks.Pattern() + "}:lock:*" }

// Parse is the reverse of View: which view of the generation a key's name stands for, and in
// which partition. It is false for any name that View cannot have made for a view in its
// own partition.
func (ks *Keyspace) Parse(name string) (p int, k Key, ok bool) {
	p, kind, rest, ok := ks.cut(name)
	if !ok {
		return 0, Key{}, false
	}
	switch kind {
	case "pin":
		k, ok = ks.parseKey(p, KindPIN, rest)
	case "account":
		k, ok = ks.parseKey(p, KindAccount, rest)
	default:
		ok = false
	}
	if !ok {
		return 0, Key{}, false
	}
	return p, k, true
}

// ParseLock is the reverse of Lock: which account's lock a key's name stands for, of which PIN
// type, and in which partition.
func (ks *Keyspace) ParseLock(name string) (p int, k Key, pinType string, ok bool) {
	p, kind, rest, ok := ks.cut(name)
	last := strings.LastIndexByte(rest, ':')
	if !ok || kind != "lock" || last < 0 {
		return 0, Key{}, "", false
	}
	k, ok = ks.parseKey(p, KindAccount, rest[:last])
	pinType, err := event.UnescapeToken(rest[last+1:])
	if !ok || err != nil {
		return 0, Key{}, "", false
	}
	return p, k, pinType, true
}

// cut cuts a key's name into its partition, the kind of what it names, and the rest.
func (ks *Keyspace) cut(name string) (p int, kind, rest string, ok bool) {
	rest, ok = strings.CutPrefix(name, ks.prefix+"{")
	if !ok {
		return 0, "", "", false
	}
	tag, rest, ok := strings.Cut(rest, "}:")
	if !ok {
		return 0, "", "", false
	}
	if p, ok = ks.partitionOf(tag); !ok {
		return 0, "", "", false
	}
	kind, rest, ok = strings.Cut(rest, ":")
	return p, kind, rest, ok
}

// parseKey reads tenant and id of a key of the partition.
func (ks *Keyspace) parseKey(p int, kind Kind, text string) (Key, bool) {
	tenant, token, ok := strings.Cut(text, ":")
	id, err := event.UnescapeToken(token)
	if !ok || err != nil || !event.ValidTenant(tenant) || event.Partition(tenant, token, len(ks.tags)) != p {
		return Key{}, false
	}
	return Key{Kind: kind, Tenant: tenant, ID: id}, true
}

// partitionOf is the partition that has the tag.
func (ks *Keyspace) partitionOf(tag string) (int, bool) {
	_, rest, _ := strings.Cut(tag, ".")
	number, _, _ := strings.Cut(rest, ".")
	p, err := strconv.Atoi(number)
	if err != nil || p < 0 || p >= len(ks.tags) || ks.tags[p] != tag {
		return 0, false
	}
	return p, true
}

// escapeGlob is the pattern that matches s alone, where *, ?, [ and \ have a meaning.
func escapeGlob(s string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(s)
}

// GenerationKey is the key that holds the record of the serving generation.
func GenerationKey(prefix string) string { return prefix + "generation" }

// ProjectorsKey is the key that holds the list of projectors that run.
func ProjectorsKey(prefix string) string { return prefix + "projectors" }

// crc16 is the checksum of Redis Cluster's key slots: CRC-16/XMODEM.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// Hash is the 64-bit hash by which a change notice names the key.
func (k Key) Hash() uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write([]byte{byte(k.Kind)})
	_, _ = d.WriteString(k.Tenant)
	_, _ = d.Write([]byte{0})
	_, _ = d.WriteString(k.ID)
	return d.Sum64()
}
