//go:build linux

package main_test

import (
	"strings"
	"testing"
)

// The plain mode on real terminals: picked by name, a new name seen by those in a
// conversation and by those who only look, unreachable and back, the terminal as before.
func lanPlain(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol := l.host("ana"), l.host("bob"), l.host("carol")
	listening(l.host("dave"))
	watch := carol.start("peers", "--watch")
	a, b := ana.screen(), bob.screen()
	a.enter("stty -g >before; earshot --plain; echo code=$?; stty -g >after; cmp before after && echo restored")
	b.enter("TERM=dumb earshot chat --wait 20s ana")
	a.await(`bob(:|  is) here`)
	b.await(`you talk with ana`)
	watch.expect(`\+ ana `)
	a.enter("bo")
	a.await(`you talk with bob`)
	a.enter("picked by typing a name")
	b.await(`ana: picked by typing a name`)
	a.await(`delivered: picked by typing a name`)
	b.enter("/msg ana from a bare terminal")
	a.await(`bob: from a bare terminal`)
	b.await(`delivered: from a bare terminal`)
	a.enter("/name anna")
	b.await(`ana is now called anna`)
	watch.expect(`~ anna `)
	bob.exec("ip", "link", "set", "eth0", "down")
	a.await(`bob can't be reached`)
	a.enter("are you there?")
	a.await(`queued: are you there`)
	bob.exec("ip", "link", "set", "eth0", "up")
	a.await(`delivered: are you there`)
	b.await(`anna: are you there`)
	a.keys("C-c")
	a.await(`^code=130$`)
	a.await(`^restored$`)
	b.await(`anna has left`)
}

// settled waits until the program has read what the terminal answers its questions, which
// the shell would read otherwise: the second key typed comes behind all of that.
func (s *screen) settled() {
	s.h.t.Helper()
	s.keys("x")
	s.await(`^talk with> x$`)
	s.keys("y")
	s.await(`^talk with> xy$`)
}

// Whatever earshot dies of, the terminal is as before, and it is said where to read more.
func lanCrash(t *testing.T) {
	l := newLAN(t)
	ana := l.host("ana")
	listening(l.host("bob"))
	s := ana.screen()
	for _, signal := range []string{"QUIT", "KILL"} {
		for _, option := range []string{"", "--plain"} {
			s.enter("clear; stty -g >before; sh -c 'echo $$ >pid; exec earshot " + option + "'")
			s.await(`^\* bob(:|  is) here$|^.*● bob`)
			s.settled()
			ana.exec("sh", "-c", "kill -"+signal+" $(cat "+ana.home+"/pid)")
			s.await(`^earshot: it has crashed$`)
			s.await(`^what is known of that is in \S*/earshot\.log$`)
			s.enter("stty -g >after; cmp before after && echo restored")
			s.await(`^(\$ )?restored$`) // the shell's prompt may come late
		}
	}
	ana.exec("grep", "-q", "^SIGQUIT: quit", ana.dir+"/earshot.log")

	// Who interrupts twice has wanted it.
	s.enter("clear; stty -g >before; sh -c 'echo $$ >pid; exec earshot'; echo code=$?")
	s.await(`^.*● bob`)
	s.settled()
	ana.exec("sh", "-c", "read p <"+ana.home+"/pid; kill -INT $p; kill -TERM $p || :") // the first may have been enough
	s.await(`^code=130$`)
	s.enter("stty -g >after; cmp before after && echo restored")
	s.await(`^(\$ )?restored$`)
	if strings.Contains(s.picture(), "crashed") {
		t.Errorf("interrupted twice:\n%s", s.picture())
	}
}
