//go:build !unix

package dataset

const openWithoutWaiting = 0
