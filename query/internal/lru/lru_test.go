package lru

import "testing"

func TestForgetsWhatWasUsedLongestAgo(t *testing.T) {
	c := New[string, int](2)
	c.Put("a", 1)
	c.Put("b", 2)
	if got, ok := c.Get("a"); !ok || got != 1 {
		t.Fatalf("Get(a) = %d, %t; want 1, true", got, ok)
	}
	c.Put("c", 3) // b was used longest ago
	if _, ok := c.Get("b"); ok {
		t.Error("b is still there")
	}
	if got := c.GetOrPut("d", func() int { return 4 }); got != 4 {
		t.Errorf("GetOrPut(d) = %d; want 4", got)
	}
	if _, ok := c.Get("a"); ok {
		t.Error("a is still there")
	}
	if got := c.GetOrPut("c", func() int { return -1 }); got != 3 {
		t.Errorf("GetOrPut(c) = %d; want 3", got)
	}
	c.Put("c", 5)
	if got, _ := c.Get("c"); got != 5 {
		t.Errorf("Get(c) = %d; want 5", got)
	}
	if c.Len() != 2 {
		t.Errorf("Len() = %d; want 2", c.Len())
	}
}
