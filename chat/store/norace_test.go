//go:build !race

package store

import "testing"

const raced = false

func tooSlow(*testing.T) {}
