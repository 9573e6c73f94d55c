//go:build !unix

package model

const openWithoutWaiting = 0
