package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/cmd/earshot/internal/terminal"
	"earshot/discovery"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNoPeer      = 3
	exitAmbiguous   = 4
	exitUndelivered = 5
	exitMismatch    = 6
	exitInterrupted = 130
)

const nobodyRemedy = "earshot must be running there too, on the same network; what else may be wrong: earshot doctor\n" +
	"a network that drops multicast may still carry talk by address, such as: earshot chat 192.0.2.7"

// usage reports a command line that can't be carried out.
type usage struct{ text, remedy string }

func (e *usage) Error() string { return e.text }

// undelivered reports messages without an acknowledgement in time.
type undelivered struct {
	count int
	to    string // a label
	after string
	kept  bool // and sent when they are back
}

func (e *undelivered) Error() string {
	what := "the message wasn't"
	if e.count != 1 {
		what = fmt.Sprintf("%d messages weren't", e.count)
	}
	return fmt.Sprintf("%s delivered to %s%s", what, e.to, e.after)
}

// failed reports why a message wasn't sent at all.
type failed struct{ error }

func (e *failed) Unwrap() error { return e.error }

// givenUp reports a message that won't be delivered.
type givenUp struct {
	to  string // a label
	why chat.Failure
}

func (e *givenUp) Error() string {
	return "the message wasn't delivered to " + e.to + ": " + app.Why(e.why)
}

// unheard reports something said in a room that not everybody has in time.
type unheard struct {
	room             string
	delivered, total int
	missing          string // labels
	kept             bool
}

func (e *unheard) Error() string {
	return fmt.Sprintf("%d of the %d in %s have the message; missing: %s", e.delivered, e.total, e.room, e.missing)
}

// empty reports that nobody else is in a room.
type empty struct{ room string }

func (e *empty) Error() string { return "nobody else is in " + e.room }

// noAnswer reports somebody who can't be talked with.
type noAnswer struct{ who, after string }

func (e *noAnswer) Error() string { return fmt.Sprintf("%s doesn't answer%s", e.who, e.after) }

// packages are who says so in an error, which is nothing to the person.
var packages = strings.NewReplacer("chat: ", "", "discovery: ", "")

// explain returns what to say about err, the remedy (or ""), and the exit code.
func explain(err error) (code int, text, remedy string) {
	var (
		use       *usage
		noText    *app.TextError
		arg       *app.ArgError
		none      *app.NotFoundError
		ambiguous *app.AmbiguousError
		host      *app.HostError
		late      *undelivered
		unsent    *failed
		unheard   *unheard
		lost      *givenUp
		empty     *empty
		broken    *crashed
		settings  *app.SettingsError
		changed   *app.Changed
		kept      *store.Error
		unknown   *app.UnknownError
		silent    *noAnswer
		mismatch  *chat.MismatchError
		identity  *chat.IdentityError
		noLAN     *discovery.NoInterfaceError
		noRoute   *app.RouteError
		refused   *discovery.SendError
		copied    *discovery.CopiedError
		noDomain  *discovery.DomainError
		noHome    *noHomeError
		lack      *chat.FileSystemError
		socket    *net.OpError
	)
	text = packages.Replace(clean.Text(err.Error()))
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted, "", ""
	case errors.Is(err, terminal.ErrGone): // as a hangup does
		return exitInterrupted, text, ""
	case errors.As(err, &unsent):
		code, text, remedy = explain(unsent.error)
		return code, "failed: " + text, remedy
	case standardStream(err) != "":
		return exitFailure, standardStream(err), ""
	case store.ExhaustedRemedy(err) != "": // whatever it was needed for
		return exitFailure, text, store.ExhaustedRemedy(err)
	case errors.As(err, &lack):
		return exitFailure, clean.Text(lack.Error()), lack.Remedy()
	case errors.As(err, &use):
		return exitUsage, text, use.remedy
	case errors.As(err, &noText):
		remedy = "nothing was sent"
		if noText.Remedy != "" {
			remedy += ": " + noText.Remedy
		}
		return exitUsage, text, remedy
	case errors.As(err, &broken):
		return exitFailure, text, "what is known of that is in " + clean.Line(broken.path)
	case errors.As(err, &settings):
		return exitUsage, text, settings.Remedy
	case errors.As(err, &arg):
		return exitUsage, text, arg.Remedy
	case errors.As(err, &noHome):
		return exitFailure, text, noHomeRemedy
	case errors.As(err, &none):
		switch {
		case none.Visible == 0:
			return exitNoPeer, text + ", nor is anybody else", nobodyRemedy
		case len(none.Near) > 0:
			return exitNoPeer, text, fmt.Sprintf("did you mean %s? who is there: earshot peers", strings.Join(none.Near, ", "))
		}
		return exitNoPeer, text, "who is there: earshot peers"
	case errors.As(err, &host):
		return exitNoPeer, text, "who is there: earshot peers; or give the address in numbers"
	case errors.As(err, &ambiguous):
		return exitAmbiguous, text, "pick one: " + strings.Join(ambiguous.Candidates, ", ")
	case errors.As(err, &late) && late.kept:
		return exitUndelivered, text, "queued: it is sent when they are next seen while earshot runs here; see: earshot outbox"
	case errors.As(err, &lost):
		return exitFailure, text, app.Remedy(lost.why)
	case errors.As(err, &unheard) && unheard.kept:
		return exitUndelivered, text, "queued for them: it is sent when they are next seen while earshot runs here; see: earshot outbox"
	case errors.As(err, &unheard):
		return exitUndelivered, text, "nothing is kept for later"
	case errors.As(err, &empty):
		return exitNoPeer, text, "which rooms there are: earshot rooms; who is there: earshot peers"
	case errors.As(err, &changed):
		name := changed.Arg
		return exitMismatch, text, fmt.Sprintf("ask them: if it is a new key of theirs, earshot people forget %s; to reach this one all the same, %s-%s",
			name, name, changed.Got.Short())
	case errors.As(err, &unknown) && len(unknown.Near) > 0:
		return exitNoPeer, text, fmt.Sprintf("did you mean %s? whom you know: earshot people", strings.Join(unknown.Near, ", "))
	case errors.As(err, &unknown):
		return exitNoPeer, text, "you know whom you have talked with: earshot people"
	case errors.Is(err, store.ErrBusy):
		return exitFailure, text, "an earshot of yours has a session with them now: wait, or end it"
	case errors.As(err, &kept):
		return exitFailure, text, kept.Remedy
	case errors.As(err, &late):
		return exitUndelivered, text, "failed: nothing is kept for later; send it again when they are back"
	case errors.As(err, &silent):
		return exitUndelivered, text, "are they still there: earshot peers; what may be wrong here, and there: earshot doctor"
	case errors.As(err, &mismatch):
		return exitMismatch, fmt.Sprintf("whoever answers at %s is %s, not %s: nothing was sent", mismatch.Addr, mismatch.Got.Short(), mismatch.Want.Short()),
			"somebody else may have taken the address; who is there: earshot peers"
	case errors.As(err, &identity) && !errors.Is(err, os.ErrPermission) && store.FileRemedy(err) != "",
		errors.Is(err, app.ErrNoDirectory) && !errors.Is(err, os.ErrPermission) && store.FileRemedy(err) != "":
		return exitFailure, text, store.FileRemedy(err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EROFS):
		return exitFailure, text, store.FileRemedy(err)
	case errors.As(err, &identity):
		return exitFailure, text, "the file must be yours, of mode 600, and whole: mend it or put back a copy; with another --dir you are somebody else to everyone"
	case errors.As(err, &refused):
		return exitFailure, text, "what forbids it, and what to do: earshot doctor"
	case errors.As(err, &copied):
		return exitFailure, text, "use a data directory of its own on each machine; if that is none of yours, warn those who know you"
	case errors.As(err, &noDomain):
		return exitFailure, text, "name a server that knows it with --dns, or leave --domain out; people on this network are seen all the same"
	case errors.As(err, &noRoute):
		return exitUndelivered, text, "bring up the network that leads there; what is wrong with it: earshot doctor"
	case errors.As(err, &noLAN):
		text, remedy = noInterface(noLAN)
		return exitFailure, text, remedy
	case errors.Is(err, chat.ErrRefused):
		return exitFailure, "you have blocked them: nothing was sent", "to talk with them all the same: earshot people unblock PEER"
	case errors.Is(err, chat.ErrNotIn):
		return exitFailure, "you aren't in that room any more: nothing was sent", "to be in it: earshot rooms join '#...'"
	case errors.Is(err, chat.ErrSelf):
		return exitFailure, "that is your own address", "who is there: earshot peers"
	case errors.Is(err, chat.ErrTooManyRooms):
		return exitFailure, text, fmt.Sprintf("one can be in %d open rooms and %d private ones; leave some: earshot rooms leave '#...'", room.MaxOpen, room.MaxPrivate)
	case errors.As(err, &socket):
		return exitFailure, text, "what is wrong with the network here: earshot doctor"
	case errors.Is(err, os.ErrPermission), errors.Is(err, app.ErrNoDirectory):
		return exitFailure, text, "use another data directory: --dir"
	}
	return exitFailure, text, ""
}

// standardStream says what is wrong with a standard stream, which has nothing to do with the data
// directory; empty: the error is of something else.
func standardStream(err error) string {
	path, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return ""
	}
	for _, stream := range []struct {
		file *os.File
		name string
	}{{os.Stdin, "input"}, {os.Stdout, "output"}, {os.Stderr, "error"}} {
		if path.Path == stream.file.Name() {
			return fmt.Sprintf("standard %s: %v", stream.name, path.Err)
		}
	}
	return ""
}
