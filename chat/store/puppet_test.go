package store

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"earshot/chat"
)

// puppet is set in the environment of a process that does what it reads from standard input.
const puppet = "EARSHOT_TEST_PUPPET"

func obey(dir string) {
	s, err := Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var what string
		var n int
		fmt.Sscan(in.Text(), &what, &n)
		var err error
		switch what {
		case "say":
			_, err = s.Said(chat.Saying{To: ana.Key, ID: id(n), Text: fmt.Sprint(n), Sent: now})
		case "hear":
			_, err = s.Heard(ana, id(n), fmt.Sprint(n), now, now)
		case "deliver":
			err = s.Delivered(ana.Key, id(n), now)
		case "flush":
			err = s.Flush()
		case "lapsed":
			if !s.Lapsed() || s.Lapsed() {
				err = fmt.Errorf("it doesn't know that it was stopped, or says so twice")
			}
		case "release":
			if !s.Release(ana.Key) {
				err = fmt.Errorf("nothing given back")
			}
		case "outbox":
			var all []chat.Saying
			all, err = s.Outbox(ana.Key)
			fmt.Println("outbox", all)
		case "lock":
			s.writeMu.Lock()
			_, err = s.write.exec("BEGIN IMMEDIATE")
		case "unlock":
			_, err = s.write.exec("COMMIT")
			s.writeMu.Unlock()
		case "sleep":
			time.Sleep(time.Duration(n) * time.Millisecond)
		}
		if err != nil {
			fmt.Println(in.Text(), err)
			continue
		}
		fmt.Println("done", in.Text())
	}
}
