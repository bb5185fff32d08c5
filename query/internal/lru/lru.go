// Package lru is a bounded map that forgets what was used longest ago.
package lru

import (
	"container/list"
	"sync"
)

// Cache is a bounded map, safe for concurrent use.
type Cache[K comparable, V any] struct {
	capacity int

	mu    sync.Mutex
	order *list.List // of *item, latest used first
	items map[K]*list.Element
}

type item[K comparable, V any] struct {
	key   K
	value V
}

// New is a cache of at most capacity values, at least one.
func New[K comparable, V any](capacity int) *Cache[K, V] {
	return &Cache[K, V]{
		capacity: max(1, capacity),
		order:    list.New(),
		items:    make(map[K]*list.Element),
	}
}

// Get is the value under key.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[key]; e != nil {
		return c.use(e), true
	}
	return value, false
}

// Put keeps value under key, in place of what is there.
func (c *Cache[K, V]) Put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[key]; e != nil {
		e.Value = item[K, V]{key, value}
		c.order.MoveToFront(e)
		return
	}
	c.add(key, value)
}

// GetOrPut is the value under key; if there is none, it keeps the one that fill makes.
func (c *Cache[K, V]) GetOrPut(key K, fill func() V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[key]; e != nil {
		return c.use(e)
	}
	value := fill()
	c.add(key, value)
	return value
}

// Len is the number of values kept.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.items)
}

func (c *Cache[K, V]) use(e *list.Element) V {
	c.order.MoveToFront(e)
	return e.Value.(item[K, V]).value //nolint:errcheck,forcetypeassert // the list holds nothing else
}

func (c *Cache[K, V]) add(key K, value V) {
	if len(c.items) == c.capacity {
		last := c.order.Back()
		delete(c.items, c.order.Remove(last).(item[K, V]).key) //nolint:errcheck,forcetypeassert // the list holds nothing else
	}
	c.items[key] = c.order.PushFront(item[K, V]{key, value})
}
