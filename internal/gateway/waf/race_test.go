//go:build race

package waf

func init() { raced = true }
