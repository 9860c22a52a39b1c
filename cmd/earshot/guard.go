package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"

	"earshot/cmd/earshot/internal/clean"
)

// guardScript waits for the end of this process. Unless that says goodbye, it gives the
// terminal back as it was and says where to read what happened, if that wasn't wanted. Being another process it
// is there whatever this one dies of.
const guardScript = `trap '' INT QUIT TERM HUP TTOU
read -r word
[ "$word" = bye ] && exit
stty "$1" <&1
said='earshot: it has crashed\nwhat is known of that is in %s\n'
[ "$word" = interrupted ] && said=
printf "$2$said" "$3" # at once, lest the shell's prompt comes between`

// leaveScreen undoes all that a screen can ask of a terminal: bells and whistles of the
// keyboard, focus, paste and mouse reports, the window's title, the other screen, a hidden
// cursor, colours.
const leaveScreen = `\033[<u\033[>4m\033[?1004l\033[?2004l\033[?1006l\033[?1003l\033[?1002l\033[?1000l\033[?2026l\033]2;\007\033[?1049l\033[?25h\033[m\r\033[J`

// guard has the terminal restored if this process dies, and what it dies of written to
// the log. Where there is no POSIX shell it does only the latter. The process says
// goodbye by calling leave.
func (p *process) guard(log *logFile) (leave func()) {
	_ = debug.SetCrashOutput(log.f, debug.CrashOptions{})
	none := func() { _ = debug.SetCrashOutput(nil, debug.CrashOptions{}) }
	saved := exec.Command("stty", "-g")
	saved.Stdin = p.in
	state, err := saved.Output()
	if err != nil {
		return none
	}
	r, w, err := os.Pipe()
	if err != nil {
		return none
	}
	cmd := exec.Command("/bin/sh", "-c", guardScript, "earshot", strings.TrimSpace(string(state)), leaveScreen, clean.Line(log.path))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, p.out, p.err
	err = cmd.Start()
	r.Close()
	if err != nil {
		w.Close()
		return none
	}
	p.setGuard(w)
	return func() {
		none()
		p.setGuard(nil)
		fmt.Fprintln(w, "bye")
		w.Close()
		_ = cmd.Wait()
	}
}

// setGuard says where to write to who guards the terminal; nil: nobody does.
func (p *process) setGuard(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.guarding = w
}

// crashed reports that the screen has crashed.
type crashed struct{ path string }

func (e *crashed) Error() string { return "the screen has crashed" }
