package store

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// migrations[i] takes the schema from version i to i+1. What is released is never
// changed, only added to.
var migrations = []string{`
CREATE TABLE people (
	n        INTEGER PRIMARY KEY,
	key      BLOB NOT NULL UNIQUE, -- 32 bytes
	name     TEXT NOT NULL,        -- what they last called themselves
	petname  TEXT NOT NULL,        -- what they are called here; empty: as they call themselves
	first    INTEGER NOT NULL,     -- ms since 1970, like all times
	last     INTEGER NOT NULL,
	verified INTEGER NOT NULL,     -- 1: their safety words were compared while they had this name
	blocked  INTEGER NOT NULL
);
CREATE TABLE messages (
	n        INTEGER PRIMARY KEY,  -- in the order they were kept
	peer     INTEGER NOT NULL,     -- people.n; 0: whoever has the name
	id       BLOB NOT NULL,        -- 16 bytes; unique for each peer
	out      INTEGER NOT NULL,     -- 1: said here
	name     TEXT NOT NULL,        -- whom it waits for while peer is 0
	text     TEXT NOT NULL,
	sent     INTEGER NOT NULL,     -- by the sender's clock
	received INTEGER NOT NULL,     -- heard, or known to be delivered; 0: not yet
	status   INTEGER NOT NULL,     -- 0: queued, 1: delivered, 2: failed, 3: cancelled
	owner    INTEGER NOT NULL      -- the process that sends it; 0: none
);
CREATE UNIQUE INDEX messages_id ON messages (peer, id);
CREATE INDEX messages_peer ON messages (peer);
CREATE INDEX messages_queued ON messages (peer) WHERE status = 0;
CREATE INDEX messages_undone ON messages (n) WHERE status <> 1;
CREATE TABLE deleted (            -- messages heard not long ago: they mustn't be taken again
	id       BLOB PRIMARY KEY,
	received INTEGER NOT NULL
) WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5 (
	text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TABLE searchable (n INTEGER NOT NULL); -- the last message that search knows
INSERT INTO searchable VALUES (0);
`, `
DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5 ( -- text as fold makes it, and p with the peer's number
	text, peer, content = '', contentless_delete = 1,
	tokenize = "unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc So Sk'"
);
CREATE INDEX messages_at ON messages ((CASE WHEN out THEN sent ELSE received END));
UPDATE searchable SET n = 0;
`, `
-- A message said in a room has a row with peer -1, status 1 and the text, and one without a text
-- for each member it is for. The rest takes those for messages to the members.
ALTER TABLE messages ADD COLUMN room TEXT NOT NULL DEFAULT '';     -- handle; empty: between two
ALTER TABLE messages ADD COLUMN head BLOB NOT NULL DEFAULT x'';    -- of what was said: what precedes the text on the wire
ALTER TABLE messages ADD COLUMN clock INTEGER NOT NULL DEFAULT 0;  -- where it stands in the room
ALTER TABLE messages ADD COLUMN late INTEGER NOT NULL DEFAULT 0;   -- 1: for a member who came later
CREATE INDEX messages_room ON messages (room, clock) WHERE room <> '' AND (out = 0 OR peer = -1);
CREATE INDEX messages_members ON messages (id) WHERE room <> '' AND out = 1;
ALTER TABLE people ADD COLUMN faint INTEGER NOT NULL DEFAULT 0;    -- 1: not known, but something said in a room is for them
CREATE TABLE rooms (
	name   TEXT PRIMARY KEY,
	key    BLOB NOT NULL,    -- of a private room, 32 bytes; empty: an open one
	joined INTEGER NOT NULL  -- 0: left, which for #here says something
) WITHOUT ROWID;
`, `
CREATE TABLE views (              -- how somebody here stands in a conversation
	conversation TEXT PRIMARY KEY, -- a person's id; empty: of all without a row
	draft        TEXT NOT NULL,
	seen         INTEGER NOT NULL, -- messages.n of the last that was before their eyes
	muted        INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO views SELECT '', '', coalesce(max(n), 0), 0 FROM messages;
CREATE TABLE typed (
	n    INTEGER PRIMARY KEY,
	text TEXT NOT NULL
);
`, `
-- In which order people came by the names they have, whatever the clock said.
ALTER TABLE people ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
UPDATE people SET named = n;
`, `
-- fold has come to know of more that is the same.
INSERT INTO search (search) VALUES ('delete-all');
UPDATE searchable SET n = 0;
`, `
CREATE TABLE visits (             -- rooms that a process is in besides those joined, while it lives
	slot INTEGER NOT NULL,
	name TEXT NOT NULL,
	key  BLOB NOT NULL,            -- as in rooms
	PRIMARY KEY (slot, name)
) WITHOUT ROWID;
`, `
-- An id names a message together with who said it (SPEC §7.5): what comes may have that of what went.
DROP INDEX messages_id;
CREATE UNIQUE INDEX messages_id ON messages (peer, id, out);
CREATE TABLE removed (            -- as deleted, which has what an earlier version removed
	digest   BLOB PRIMARY KEY,     -- of sender and id: nothing tells of who is forgotten
	received INTEGER NOT NULL
) WITHOUT ROWID;
`, `
CREATE TABLE elapsed (             -- one row: see Elapsed
	passed INTEGER NOT NULL,
	wall   INTEGER NOT NULL,
	began  INTEGER NOT NULL        -- passed at first
);
INSERT INTO elapsed SELECT at, at, at FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS at);
-- What had passed when it was kept; 0: that wasn't counted yet.
ALTER TABLE messages ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
UPDATE messages SET passed = (SELECT passed FROM elapsed) WHERE status = 0;
ALTER TABLE deleted ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
UPDATE deleted SET passed = (SELECT passed FROM elapsed);
ALTER TABLE removed ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
UPDATE removed SET passed = (SELECT passed FROM elapsed);
`, `
CREATE TABLE journals (           -- up to which record that of a slot is in the tables
	slot INTEGER PRIMARY KEY,
	seq  INTEGER NOT NULL
);
`, `
-- Why a person hasn't taken what was said to them (chat.Reason); 0: they haven't declined it.
ALTER TABLE messages ADD COLUMN declined INTEGER NOT NULL DEFAULT 0;
`, `
-- From here on verified outlasts a change of name, and messages.name is, of what was heard, what
-- the sender was called then; empty: it isn't known.
ALTER TABLE people ADD COLUMN label TEXT NOT NULL DEFAULT ''; -- the name they are known by; empty: the one they last called themselves
CREATE TABLE self (
	name TEXT NOT NULL             -- what I am called; empty: an earlier version didn't keep it
);
INSERT INTO self SELECT '' WHERE EXISTS (SELECT 1 FROM people) OR EXISTS (SELECT 1 FROM messages) OR EXISTS (SELECT 1 FROM rooms);
CREATE TABLE callings (           -- what running processes call me
	slot INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	kept INTEGER NOT NULL          -- 0: it is this process's alone
);
`, `
CREATE TABLE origin (             -- one row
	id       BLOB NOT NULL,        -- of this database; copies have the same
	contacts INTEGER NOT NULL      -- counts what changes in the copy of contacts
);
INSERT INTO origin VALUES (randomblob(16), 1);
CREATE TRIGGER contact_added AFTER INSERT ON people WHEN NOT new.faint BEGIN
	UPDATE origin SET contacts = contacts + 1;
END;
CREATE TRIGGER contact_removed AFTER DELETE ON people WHEN NOT old.faint BEGIN
	UPDATE origin SET contacts = contacts + 1;
END;
CREATE TRIGGER contact_changed AFTER UPDATE OF name, petname, label, verified, blocked, faint ON people
	WHEN (old.name, old.petname, old.label, old.verified, old.blocked, old.faint)
		IS NOT (new.name, new.petname, new.label, new.verified, new.blocked, new.faint) BEGIN
	UPDATE origin SET contacts = contacts + 1;
END;
`, `
CREATE TABLE keeps (               -- for how long the messages of a conversation are kept
	conversation TEXT PRIMARY KEY, -- a person's id, or the name of a room
	ms INTEGER NOT NULL            -- 0: for ever
) WITHOUT ROWID;
CREATE INDEX messages_passed ON messages (passed);
`, `
ALTER TABLE messages ADD COLUMN failure INTEGER NOT NULL DEFAULT 0; -- chat.Failure, where the status is failed
`, `
ALTER TABLE views ADD COLUMN change INTEGER NOT NULL DEFAULT 0; -- what was changed later has a greater one
CREATE TRIGGER views_made AFTER INSERT ON views BEGIN
	UPDATE views SET change = (SELECT max(change) + 1 FROM views) WHERE conversation = new.conversation;
END;
CREATE TRIGGER views_changed AFTER UPDATE OF draft, seen, muted ON views
	WHEN old.draft <> new.draft OR old.seen <> new.seen OR old.muted <> new.muted BEGIN
	UPDATE views SET change = (SELECT max(change) + 1 FROM views) WHERE conversation = new.conversation;
END;
`, `
-- Messages of a room stand by bound, clock and ref: see SPEC §13.10. Clock is the time there.
ALTER TABLE messages ADD COLUMN ref BLOB NOT NULL DEFAULT x'';     -- of what is said in a room: its id, and the first 8 bytes of its sender's
ALTER TABLE messages ADD COLUMN bound INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN stays INTEGER NOT NULL DEFAULT 0;  -- the greatest bound it may have; 0: any
DROP INDEX messages_room;
CREATE INDEX messages_room ON messages (room, bound, clock, ref) WHERE room <> '' AND (out = 0 OR peer = -1);
CREATE INDEX messages_ref ON messages (ref) WHERE ref <> x'';
CREATE TABLE named (              -- which messages name which others
	ref BLOB NOT NULL,
	n   INTEGER NOT NULL,         -- messages.n
	PRIMARY KEY (ref, n)
) WITHOUT ROWID;
CREATE INDEX named_n ON named (n);
CREATE TABLE ranked (
	room   TEXT PRIMARY KEY,
	stale  INTEGER NOT NULL DEFAULT 0, -- 1: its messages must be ranked anew
	looped INTEGER NOT NULL DEFAULT 0, -- 1: some name each other in a circle
	old    INTEGER NOT NULL DEFAULT 0  -- the last message that an earlier version kept; 0: they are ranked
) WITHOUT ROWID;
INSERT INTO ranked SELECT room, 1, 0, max(n) FROM messages WHERE room <> '' AND (out = 0 OR peer = -1) GROUP BY room;
`, `
ALTER TABLE ranked ADD COLUMN rests INTEGER NOT NULL DEFAULT 0; -- until when it isn't ranked anew, though it is stale
`, handleDrafts}

// migrate brings the schema to the present version. An older earshot that has the
// database open would work on with statements made for its own schema, so migrate waits
// for its end, and gives up after [patience].
func (k *conn) migrate() error {
	version, err := k.version()
	if err != nil || version == len(migrations) {
		return err
	}
	if err := k.journalMode(); err != nil {
		return err
	}
	for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := k.transact(k.migrateAlone)
		if _, running := errors.AsType[*olderRuns](err); !running {
			return err
		}
		if time.Now().After(limit) {
			return err
		}
	}
}

// migrateAlone is migrate inside a transaction. It fails with *olderRuns while a process
// has the database open.
func (k *conn) migrateAlone() error {
	version, err := k.version() // another process may have been first
	if err != nil || version == len(migrations) {
		return err
	}
	made := version == 0
	for ; version < len(migrations); version++ {
		if _, err := k.c.ExecContext(ctx, migrations[version]); err != nil {
			return err
		}
		if migrations[version] == handleDrafts {
			if err := k.placeDrafts(); err != nil {
				return err
			}
		}
		if _, err := k.c.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version+1)); err != nil {
			return err
		}
	}
	// At the end, since one may have started meanwhile.
	if all := Running(filepath.Dir(k.path)); !made && len(all) > 0 {
		return &olderRuns{all}
	}
	return nil
}

// olderRuns reports that processes of an older earshot have the database open.
type olderRuns struct{ all []Process }

func (e *olderRuns) Error() string { return "an older earshot runs in this data directory" }

// remedy names the processes to stop.
func (e *olderRuns) remedy() string {
	var pids []string
	for _, p := range e.all {
		if p.PID != 0 {
			pids = append(pids, strconv.Itoa(p.PID))
		}
	}
	if len(pids) == 0 {
		return "stop the earshot that runs, then try again"
	}
	return "stop the earshot that runs (pid " + strings.Join(pids, ", ") + "), then try again"
}

// version returns the version of the schema, 0 where there is none yet. It fails where
// the database isn't for this program, and says what made it. It asks all in one
// query, since another process may be making the schema.
func (k *conn) version() (version int, err error) {
	var tables int
	err = k.c.QueryRowContext(ctx, "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version").Scan(&version, &tables)
	if err != nil {
		return 0, err
	}
	switch {
	case version > len(migrations):
		return 0, &Error{
			k.path, fmt.Errorf("the database was made by a newer earshot (version %d, here %d)", version, len(migrations)),
			"use that one, or another data directory: --dir",
		}
	case version == 0 && tables > 0:
		return 0, &Error{k.path, errors.New("this is a database of something else"), "move it away, or use another data directory: --dir"}
	}
	return version, nil
}

// inWAL turns on write-ahead logging where it isn't, as in a copy that VACUUM made.
func (k *conn) inWAL() error {
	var mode string
	if err := k.get("PRAGMA journal_mode", nil, &mode); err != nil || mode == "wal" {
		return err
	}
	return k.journalMode()
}

// journalMode turns on write-ahead logging, for which SQLite doesn't wait by itself
// while another process does the same.
func (k *conn) journalMode() error {
	for limit := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		var mode string
		err := k.c.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		if err == nil || !busy(err) || time.Now().After(limit) {
			return err
		}
	}
}

// none reports that a query found nothing.
func none(err error) bool { return errors.Is(err, sql.ErrNoRows) }
