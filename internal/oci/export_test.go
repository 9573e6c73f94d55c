package oci

// Waiting returns how many callers wait for manifests that are being fetched.
func Waiting(c *Client) int { return c.manifests.Waiting() }
