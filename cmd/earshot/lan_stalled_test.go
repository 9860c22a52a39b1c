//go:build linux

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// A reader of what earshot prints that stands still stops nobody: whoever talks sees all of it delivered, and
// the reader has all of it, once and in order, when it goes on. Without a history only who talks too much waits.
func lanStalledReader(t *testing.T) {
	lines := 5000 // more than may wait for one person
	if info, ok := debug.ReadBuildInfo(); ok && raceEnabled(info) {
		lines = 1000
	}
	for _, c := range []struct{ name, command string }{
		{"json", "listen --json --room '#dev'"},
		{"plain", "listen --room '#dev'"},
		{"chat", "chat --wait 20s ana"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			ana, bob, carol := l.host("ana"), l.host("bob"), l.host("carol")
			hold := filepath.Join(bob.home, "hold")
			bob.exec("mkfifo", hold)
			reader := bob.startProgram(nil, "setsid", "sh", "-c", // all of the pipeline ends with the shell
				"trap 'trap - TERM; kill 0' TERM; tail -f /dev/null | "+strings.Join(bob.earshot(c.command), " ")+
					" | { read -r go <"+hold+"; cat; } & wait")
			talk := ana.start("chat", "--timeout", "60s", "--wait", "20s", "bob")
			talk.expectNote("talking with bob")
			for i := range lines {
				talk.say(fmt.Sprintf("line %d of ana", i))
			}
			talk.hangUp()
			if c.name != "chat" {
				for i := range 5 {
					carol.run("send", "bob", fmt.Sprintf("line %d of carol", i)).exits(0)
					carol.run("send", "--wait", "20s", "#dev", fmt.Sprintf("line %d in the room", i)).exits(0)
				}
			}
			talk.exits(0) // all is delivered
			if err := os.WriteFile(hold, []byte("go\n"), 0); err != nil {
				t.Fatal(err)
			}
			for who, count := range map[string]int{"of ana": lines, "of carol": 5, "in the room": 5} {
				if c.name == "chat" && who != "of ana" {
					continue
				}
				reader.anywhere(fmt.Sprintf("line %d %s", count-1, who))
				var got, want []string
				for _, m := range regexp.MustCompile(`line (\d+) `+who).FindAllStringSubmatch(reader.stdout.String(), -1) {
					got = append(got, m[1])
				}
				for i := range count {
					want = append(want, fmt.Sprint(i))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d lines %s were printed, of %d, or in another order", len(got), who, count)
				}
			}
		})
	}
}
