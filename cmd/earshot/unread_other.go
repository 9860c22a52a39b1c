//go:build !unix

package main

import "os"

// whenUnread does nothing: a write will tell.
func whenUnread(*os.File, func(error)) {}
