// Command earshot talks with whoever is on the same network: no server, no account, no
// internet.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"earshot/cmd/earshot/internal/clean"
	"earshot/cmd/earshot/internal/console"
	"earshot/cmd/earshot/internal/terminal"
)

func main() { os.Exit(run(os.Args)) }

func run(args []string) int {
	// A reader that goes away shows as an error of the write, so that goodbye is still
	// said.
	signal.Ignore(syscall.SIGPIPE)
	p := &process{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	ctx := p.interruptible()
	return p.report(command(p).RunContext(ctx, args))
}

// process is what all commands share: the standard streams, and how an interrupt gets
// through.
type process struct {
	in, out, err *os.File
	interrupt    func() // what Ctrl-C does where the terminal doesn't turn it into a signal

	mu       sync.Mutex
	console  *console.Console // while it has the terminal
	log      io.Writer        // while a screen has it
	guarding io.Writer        // while somebody guards it
	held     []string         // notices for the screen; nil: none are held
}

var errInterrupted = errors.New("interrupted")

// interruptible returns a context that ends at the first interrupt. The second one
// ends the process at once.
func (p *process) interruptible() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // nohup, or a shell's background job
			signal.Notify(signals, s)
		}
	}
	p.interrupt = func() { signals <- os.Interrupt }
	go func() {
		<-signals
		cancel(errInterrupted)
		<-signals
		p.closeConsole()
		p.mu.Lock()
		if p.guarding != nil {
			fmt.Fprintln(p.guarding, "interrupted")
		}
		os.Exit(exitInterrupted)
	}()
	return ctx
}

// openConsole takes the terminal over.
func (p *process) openConsole() (*console.Console, error) {
	con, err := console.Open(p.in, p.out, p.interrupt)
	if err == nil {
		p.mu.Lock()
		p.console = con
		p.mu.Unlock()
	}
	return con, err
}

func (p *process) closeConsole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.console != nil {
		p.console.Close()
		p.console = nil
	}
}

// Write takes log lines: to standard error, above the prompt, or where there is a screen
// to the log file.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log != nil {
		return p.log.Write(b)
	}
	if p.console != nil {
		p.console.Print(clean.Text(string(b)))
		return len(b), nil
	}
	return p.err.Write(b)
}

// notice tells the person something that isn't a result, with the remedy where there
// is one.
func (p *process) notice(text, remedy string) {
	if remedy != "" {
		remedy = "\n" + remedy
	}
	p.mu.Lock()
	held := p.held != nil
	if held {
		p.held = append(p.held, text+remedy)
	}
	if p.mu.Unlock(); held {
		return
	}
	fmt.Fprintf(p, "earshot: %s%s\n", text, remedy)
}

// hold keeps notices for the screen, which takes them with heldNotices. Those that it has
// left are shown by release.
func (p *process) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = []string{}
}

func (p *process) release() {
	p.mu.Lock()
	held := p.held
	p.held = nil
	p.mu.Unlock()
	for _, text := range held {
		p.notice(text, "")
	}
}

// heldNotices returns the notices since the last call, while they are held.
func (p *process) heldNotices() (held []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if held = p.held; held != nil {
		p.held = []string{}
	}
	return held
}

// report says what went wrong and returns the exit code.
func (p *process) report(err error) int {
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return exitDone
	}
	code, text, remedy := explain(err)
	if text != "" {
		p.notice(text, remedy)
	}
	return code
}

// whileRead returns a context that ends with ctx, or when nobody reads standard output any
// more, or the terminal that it is has gone: a command that has nothing to write would never know.
func (p *process) whileRead(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	whenUnread(p.out, cancel)
	return ctx
}

// print writes one result, terminated by a newline, to standard output.
func (p *process) print(text string) error {
	_, err := io.WriteString(p.out, text+"\n")
	return err
}

// printJSON writes v as one line of JSON to standard output.
func (p *process) printJSON(v any) error {
	line, err := clean.JSON(v)
	if err == nil {
		_, err = p.out.Write(line)
	}
	return err
}

// columns returns the width of the terminal that standard output is, else 0.
func (p *process) columns() int {
	if !term.IsTerminal(int(p.out.Fd())) {
		return 0
	}
	width, _ := terminal.Size(p.out)
	return width
}

func command(p *process) *cli.App {
	a := &cli.App{
		Name:      "earshot",
		Usage:     "chat with whoever is on the same network: no server, no account, no internet",
		UsageText: "earshot [global options] [command [options] [arguments...]]",
		Description: "Without a command: see who is there, pick one by name, talk.\n" +
			"PEER is a name, name·id, an id or 6 and more characters of one, or HOST[:PORT] or ADDR[:PORT].\n" +
			"A room is #here, where everybody is, or any #name; in a shell it is written in quotes.\n" +
			"Options come before arguments, since text may begin with a hyphen; a PEER that does stands behind\n" +
			"two of them, as in: earshot send -- -ana- hello",
		Version:               version(),
		Flags:                 globalFlags(),
		Commands:              []*cli.Command{peersCommand(p), chatCommand(p), sendCommand(p), listenCommand(p), roomsCommand(p), idCommand(p), nameCommand(p), logCommand(p), outboxCommand(p), verifyCommand(p), peopleCommand(p), backupCommand(p), restoreCommand(p), doctorCommand(p)},
		Action:                func(c *cli.Context) error { return lobby(p, c) },
		OnUsageError:          usageError,
		ExitErrHandler:        func(*cli.Context, error) {},
		Writer:                p.out,
		ErrWriter:             p.err,
		CustomAppHelpTemplate: appHelp,
	}
	switches(a.Flags)
	for _, c := range a.Commands {
		c.OnUsageError = usageError
		c.HideHelpCommand = true // `help` may be a peer's name
		switches(c.Flags)
	}
	return a
}

// switches spares help that what isn't switched on is off.
func switches(flags []cli.Flag) {
	for _, f := range flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = true
		}
	}
}

// usageError turns an error of the flags into ours.
func usageError(c *cli.Context, err error, _ bool) error {
	return &usage{text: clean.Line(plainly(err.Error())), remedy: helpOf(c)}
}

// helpOf names the help of the command that c runs.
func helpOf(c *cli.Context) string {
	if c.Command == nil || c.Command.Name == "" || c.Command.Name == c.App.Name {
		return "see: earshot --help"
	}
	return "see: earshot " + c.Command.Name + " --help"
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}

const appHelp = `earshot - {{.Usage}}

USAGE:
   {{.UsageText}}

{{.Description | indent 3}}

COMMANDS:{{range .VisibleCommands}}{{if ne .Name "help"}}
   {{.Name}}{{"\t"}}{{.Usage}}{{end}}{{end}}

GLOBAL OPTIONS:{{range .VisibleFlags}}
   {{.}}{{end}}
`
