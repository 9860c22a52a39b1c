//go:build !race

package store

import "testing"

func tooSlow(*testing.T) {}
