package chat

import (
	"time"

	"earshot/chat/wire"
)

// How a person is called who runs several nodes (SPEC §8).

// continues notes that the link is with a node that has had others before.
func (l *link) continues() {
	for _, o := range l.person.links {
		if o.instance != l.instance {
			continue
		}
		o.name, o.whose = l.name, l.whose // what still comes that way is from a node that is called so now
		if o.since.Before(l.since) {
			l.since = o.since
		}
	}
}

// speaks reports whether the node at the other end calls its person by the name it has.
func (l *link) speaks() bool {
	if l.whose == 0 { // an earlier version
		return l.lasts()
	}
	return l.whose == wire.PersonsName
}

// speaker is the person as the node at the other end is called.
func (l *link) speaker() Person { return Person{l.person.Key, l.name} }

// spokesman is the session of the node that decides how the person is called: of those that
// speak for them, the one that began last. Nil when there is none.
func (p *person) spokesman() (last *link) {
	for _, l := range p.links {
		if l.speaks() && (last == nil || !l.since.Before(last.since)) { // of one node, the newest session
			last = l
		}
	}
	return last
}

// rename notes how the person is called now, or asks to be called again when that may be.
func (p *person) rename(now time.Time) {
	l := p.spokesman()
	if l == nil || p.named && l.name == p.Name {
		p.core.timers.set(&p.naming, time.Time{})
		return
	}
	if at := p.renamed.Add(renameEvery); p.named && now.Before(at) {
		p.core.timers.set(&p.naming, at)
		return
	}
	p.core.timers.set(&p.naming, time.Time{})
	if p.named { // the first name told may be mended at once
		p.renamed = now
	}
	p.Name, p.named = l.name, true
	if p.met {
		p.core.events.add(Event{Kind: Named, Person: p.Person})
	}
}
