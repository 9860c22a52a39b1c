package app

import (
	"context"
	"slices"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/discovery"
)

// Node is what a [Session] talks through. A [*chat.Node] is one.
type Node interface {
	Open(ctx context.Context, t chat.Target) (chat.Person, error)
	Send(to chat.Key, text string) (chat.MessageID, error)
	Watch(key chat.Key, on bool)
	Typing(key chat.Key)
	Rooms() []chat.Room
	Members(room string) []chat.Person
	Survey(ctx context.Context)
	SendRoom(room, text string) (id chat.MessageID, to []chat.Person, err error)
	Delivery(id chat.MessageID) (delivered, total int, missing []chat.Missing)
}

// SessionConfig says whose Session it is.
type SessionConfig struct {
	Me    chat.Person
	Node  Node
	Book  *Book
	Store *store.Store // nil: nothing is kept

	Name     func() string                    // what I am called now; nil: as Me says
	Rename   func(name string) error          // makes others see me under another name, from now on
	Join     func(chat.Membership) error      // be in a room from now on
	Leave    func(room string) error          // and no more
	Explain  func(error) string               // what to say about an error
	Diagnose func(ctx context.Context) string // why nobody is seen; it may take seconds
	Settings Settings

	// Notices, if not nil, returns what to tell the person that isn't of a conversation,
	// harmless texts, each once.
	Notices func() []string
}

// Job is something that takes time. The shell runs it on a goroutine of its own, and
// what it returns on the Session's.
type Job func(ctx context.Context) func(now time.Time)

// Session is what a person has before their eyes, whatever shows it: who is there, the
// conversations, and what typed lines do. It has no goroutine and no clock. Its shell
// brings events and the time, runs its Jobs, and shows what it has; nothing of that
// takes longer the longer a conversation is. One goroutine uses it.
type Session struct {
	me       chat.Person
	node     Node
	book     *Book
	store    *store.Store
	myName   func() string
	announce func(string) error
	join     func(chat.Membership) error
	leave    func(string) error
	explain  func(error) string
	diagnose func(context.Context) string
	settings Settings
	notices  func() []string

	contacts map[Conv]*contact
	unproven map[string]discovery.Peer // who is visible without an identity, by row
	current  *contact                  // whose conversation is shown
	attended bool                      // and read
	calling  int                       // addresses that haven't answered yet, and rooms being joined
	busy     bool                      // somebody is in the midst of something
	acts     int                       // how often somebody has done something

	n       int64 // of the last line
	version uint64
	rows    []Row
	stale   bool   // rows
	unnamed bool   // how somebody is called may have changed; then they are stale too
	counted bool   // the rooms and their members
	passFor string // the room of which the passphrase is asked for

	begun string // where no conversation is shown
	typed []string
	news  []News
	jobs  []Job
	keeping

	now      time.Time // as last told
	began    time.Time
	looked   time.Time // at what may have changed without an event
	fated    uint64    // the writes up to which the store was asked what has become of lines; 0: it is to be asked again
	lonely   bool      // nobody has been seen so far
	asked    bool      // why
	findings string
}

// NewsKind says what a [News] is about.
type NewsKind uint8

// Kinds of [News], and which fields they set.
const (
	Said   NewsKind = iota + 1 // a new Line in Conv
	Marked                     // the State of Line in Conv has changed, or whom a notice tells of
	Came                       // somebody is there now, who is called Text; Conv is zero where they announce no identity, or the room that they have come to
	Went                       // and isn't any more
	Told                       // Text answers what was typed
	Turned                     // Conv is shown now; zero: none
	Found                      // Hits were searched for with Text
	Helped                     // help was asked for: see Commands
	Quit                       // it was asked to end
	Asked                      // Text asks for a secret, which Answer takes
)

// News is something that a shell may want to say the moment it happens.
type News struct {
	Kind   NewsKind
	Conv   Conv
	Line   Line
	Text   string // harmless
	Notify bool   // Said: worth a sign to somebody who looks elsewhere
	Failed bool   // Told: what was asked wasn't done
	Stays  bool   // Failed: that was to show another conversation
	Hits   []Hit
	Typed  bool // Found: by the command
}

// Hit is a line found.
type Hit struct {
	Conv Conv
	Line Line // its N is good for Jump
}

const (
	glanceEvery = time.Second
	typingFor   = 6 * time.Second
	lonelyFor   = 3 * time.Second // then a diagnosis begins, which takes two
	openFor     = 10 * time.Second
	maxTold     = 500 // lines typed that are remembered
)

// NewSession begins.
func NewSession(cfg SessionConfig, now time.Time) (*Session, error) {
	s := &Session{
		me: cfg.Me, node: cfg.Node, book: cfg.Book, store: cfg.Store, myName: cfg.Name, announce: cfg.Rename, join: cfg.Join, leave: cfg.Leave, explain: cfg.Explain,
		diagnose: cfg.Diagnose, settings: cfg.Settings, notices: cfg.Notices, contacts: map[Conv]*contact{}, unproven: map[string]discovery.Peer{},
		keeping: keeping{unkept: map[Conv]bool{}}, n: liveN, stale: true, unnamed: true, now: now, began: now, lonely: true,
	}
	var err error
	if s.store != nil {
		if _, s.change, err = s.store.ViewChanges(0); err != nil {
			return nil, err
		}
	}
	if s.count(); s.store == nil {
		return s, nil
	}
	views, err := s.store.Views()
	if err == nil {
		s.typed, err = s.store.Typed()
	}
	for _, v := range views {
		if v.Unread > 0 || v.Draft != "" || v.Muted || now.Sub(v.Last) < store.Expiry {
			c := s.contact(chat.Person{Key: v.Peer})
			c.view, c.stored, c.last = v, v, v.Last
			c.drafts = map[string]*draft{"": {text: v.Draft, stored: v.Draft}}
		}
	}
	return s, err
}

// contact returns the contact of somebody, made if need be.
func (s *Session) contact(p chat.Person) *contact {
	conv := Conv{Key: p.Key}
	c := s.contacts[conv]
	if c == nil {
		entry, known := s.book.Get(p.Key)
		c = &contact{conv: conv, person: chat.Person{Key: p.Key, Name: entry.Name}, known: known, called: entry.Name, addrs: -1}
		c.view.Peer = p.Key
		s.contacts[conv] = c
		s.rename()
	}
	if _, known := s.book.Get(p.Key); !known && p.Name != "" && p.Name != c.person.Name {
		c.person.Name = p.Name
		s.rename()
	}
	return c
}

// rename has everybody labelled anew.
func (s *Session) rename() { s.stale, s.unnamed = true, true }

// Begin takes those who are visible when the Session begins.
func (s *Session) Begin(peers []discovery.Peer, now time.Time) {
	for _, p := range peers {
		s.Saw(discovery.Event{Change: discovery.Up, Peer: p}, now)
	}
	s.news = nil
}

// Heard takes an event of the node.
func (s *Session) Heard(e chat.Event, now time.Time) {
	s.now = now
	defer func() { s.stale = true }()
	if e.Kind == chat.Said {
		s.overheard(e)
		return
	}
	s.reread()
	c := s.contact(chat.Person{Key: e.Person.Key})
	s.call(c, e)
	switch e.Kind {
	case chat.Message:
		if e.Room != "" {
			s.heardIn(e)
			return
		}
		s.heard(c, e, now)
	case chat.Joined, chat.Parted:
		s.fold(s.room(e.Room), c, e.Kind == chat.Joined, now)
	case chat.Excluded:
		s.recount(s.room(e.Room), e)
	case chat.Declined:
		if e.Room == "" {
			s.note(c, s.Label(c.conv)+" hasn't taken what you said: "+e.Reason.String()+"; it is sent again later", now)
		}
	case chat.Failed:
		s.failed(c, e)
	case chat.Delivered:
		if e.Room != "" {
			s.recount(s.room(e.Room), e)
			return
		}
		s.link(c, now)
		s.meet(c, now)
		s.settle(c, e.ID, Delivered, "")
	case chat.Met, chat.Reachable:
		s.link(c, now)
	case chat.Unreachable:
		s.unlink(c, "can't be reached", now)
	case chat.Left:
		s.unlink(c, "has left", now)
		s.prune(c)
	case chat.Typing:
		c.typingUntil = now.Add(typingFor)
	}
}

// heard takes a message.
func (s *Session) heard(c *contact, e chat.Event, now time.Time) {
	if c.has(e) {
		return
	}
	if e.Kept == 0 { // else they talk with another process
		s.link(c, now)
	}
	s.meet(c, now)
	c.typingUntil = time.Time{}
	line := Line{ID: e.ID, From: c.conv.Key, Name: e.As, At: e.Received}
	line.Text, line.Action = text(e.Text)
	s.take(c, line, e.Kept, true)
}

// take puts a message of another at the end of a conversation. kept is its number in the store, where
// another process has received it; loud: it is worth a sign.
func (s *Session) take(c *contact, line Line, kept int64, loud bool) {
	n := s.add(c, line)
	read := kept != 0 && kept <= c.readTo
	if c == s.current && s.attended {
		s.seen(c)
	} else if !read {
		if c.view.Unread == 0 {
			c.rule = n
		}
		c.view.Unread++
		if line.Mention {
			c.mentions++
		}
	}
	s.news[len(s.news)-1].Notify = loud && !read && !c.view.Muted && !s.settings.Notify.Quiet.contain(s.now)
}

// meet notes that the first word has passed with somebody.
func (s *Session) meet(c *contact, now time.Time) {
	if c.known {
		return
	}
	c.known = true
	note := "first contact with " + s.Label(c.conv) + " (" + c.conv.Key.Short() + ")"
	if s.store != nil {
		note += ": remembered; compare words with: /verify " + c.arg
	}
	s.note(c, note, now)
}

// add puts a line at the end of a conversation, and tells of it.
func (s *Session) add(c *contact, line Line) int64 {
	line.N = s.put(c, line)
	s.news = append(s.news, News{Kind: Said, Conv: c.conv, Line: line})
	return line.N
}

// put puts a line at the end of a conversation. What is shown doesn't move.
func (s *Session) put(c *contact, line Line) int64 {
	s.n++
	line.N = s.n
	c.tail.append(line)
	count, bytes := mostUnopenedLines, mostWaitBytes
	if c.opened || s.store == nil {
		count, bytes = mostLines, mostBytes
	}
	if len(c.tail.all()) > count || c.tail.bytes > bytes {
		if c != s.current || s.attended { // nobody reads what would go
			c.tail.trim(count*3/4, bytes*3/4)
			c.whole = s.store == nil
		}
	}
	if !line.Notice {
		c.last = line.At
	}
	s.stale = true
	return line.N
}

// note adds a notice to a conversation.
func (s *Session) note(c *contact, text string, now time.Time) {
	s.add(c, Line{Notice: true, Text: text, At: now})
}

// link notes that somebody is there.
func (s *Session) link(c *contact, now time.Time) {
	c.linked = true
	s.back(c, now)
	s.restate(c)
}

// back notes that somebody who was gone isn't any more.
func (s *Session) back(c *contact, now time.Time) {
	if c.away && c.opened {
		s.note(c, s.Label(c.conv)+" is back", now)
	}
	c.away = false
}

// Later is said of those who are gone, where it is kept.
const Later = "what you write is delivered when they are back"

// unlink notes that somebody is gone.
func (s *Session) unlink(c *contact, how string, now time.Time) {
	gone := !c.away
	c.linked, c.away = false, true
	c.typingUntil = time.Time{}
	if gone && c.opened {
		if how = s.Label(c.conv) + " " + how; s.store != nil {
			how += "; " + Later
		}
		s.note(c, how, now)
	}
	s.restate(c)
}

// restate says anew what has become of what isn't delivered.
func (s *Session) restate(c *contact) {
	for _, n := range c.undone {
		if l := c.tail.at(n); l != nil && l.State != c.sending() {
			l.State = c.sending()
			s.news = append(s.news, News{Kind: Marked, Conv: c.conv, Line: *l})
		}
	}
}

// settle notes what has become of a line.
func (s *Session) settle(c *contact, id chat.MessageID, state State, reason string) {
	for _, l := range []*lines{&c.tail, &c.past} {
		n, ok := l.byID[lineID{id: id}]
		if !ok {
			continue
		}
		line := l.at(n)
		if line.State == state {
			continue
		}
		line.State, line.Reason = state, reason
		if l == &c.tail {
			c.undone = slices.DeleteFunc(c.undone, func(o int64) bool { return o == n })
		}
		s.news = append(s.news, News{Kind: Marked, Conv: c.conv, Line: *line})
	}
}

// News returns what has happened since the last call.
func (s *Session) News() []News {
	news := s.news
	s.news = nil
	return news
}

// Jobs returns what is to be run since the last call.
func (s *Session) Jobs() []Job {
	jobs := s.jobs
	s.jobs = nil
	return jobs
}

func (s *Session) job(j Job) { s.jobs = append(s.jobs, j) }

// refuse says why it wasn't done.
func (s *Session) refuse(text string) {
	s.news = append(s.news, News{Kind: Told, Text: text, Failed: true})
}

// stay says why another conversation that was asked for isn't shown.
func (s *Session) stay(text string) {
	s.news = append(s.news, News{Kind: Told, Text: text, Failed: true, Stays: true})
}

// Explain says what is wrong, and the remedy.
func (s *Session) Explain(err error) string { return s.explain(err) }

// Calling reports whether somebody is being called by address, or a room joined, that what
// is typed next may be for.
func (s *Session) Calling() bool { return s.calling > 0 }

// Busy says whether somebody is in the midst of something, such as a line half typed. What
// answers late doesn't take the place of it then.
func (s *Session) Busy(on bool) { s.busy = on }

// Me returns who I am.
func (s *Session) Me() chat.Person { return s.me }
