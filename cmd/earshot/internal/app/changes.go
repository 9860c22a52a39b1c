package app

import (
	"slices"

	"earshot/discovery"
)

// changes are changes of the roster that wait to be told: one for each peer.
type changes []discovery.Event

// add merges e into what waits.
func (c *changes) add(e discovery.Event) {
	i := slices.IndexFunc(*c, func(o discovery.Event) bool { return sameRow(o.Peer, e.Peer) })
	if i < 0 {
		*c = append(*c, e)
		return
	}
	was := (*c)[i].Change
	switch {
	case was == discovery.Up && e.Change == discovery.Down: // they were never told of
		*c = slices.Delete(*c, i, i+1)
		return
	case was == discovery.Up:
		e.Change = discovery.Up
	case was == discovery.Down && e.Change == discovery.Up:
		e.Change = discovery.Changed
	}
	(*c)[i] = e
}

// sameRow reports whether both are of one row of the roster. One without an identity has only a name.
func sameRow(a, b discovery.Peer) bool {
	return a.ID == b.ID && (a.ID != "" || a.Name == b.Name && a.Since.Equal(b.Since))
}
