package oci

// Waiting returns how many callers wait for manifests that are being fetched.
func Waiting(c *Client) int {
	c.manifests.mu.Lock()
	defer c.manifests.mu.Unlock()
	n := 0
	for _, f := range c.manifests.flights {
		n += f.waiters
	}
	return n
}
