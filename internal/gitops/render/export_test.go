package render

// Builds is how many builds the cache holds.
func (c *Cache) Builds() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}
