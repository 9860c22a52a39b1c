package store

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"earshot/chat"
)

// KeepDefault is for how long a conversation is kept of which nothing else was said.
const KeepDefault time.Duration = -1

// SetKeep says for how long messages of a conversation, with a person or in a room of that name, are kept;
// 0: for ever.
func (s *Store) SetKeep(peer chat.Key, room string, d time.Duration) error {
	conversation := cmp.Or(room, peer.String())
	return s.writing(func() (err error) {
		if d == KeepDefault {
			_, err = s.write.exec(`DELETE FROM keeps WHERE conversation = ?`, conversation)
		} else {
			_, err = s.write.exec(`INSERT OR REPLACE INTO keeps VALUES (?, ?)`, conversation, d.Milliseconds())
		}
		return err
	})
}

// Keep returns for how long messages of a conversation are kept, as SetKeep was told.
func (s *Store) Keep(peer chat.Key, room string) (d time.Duration, err error) {
	var ms int64
	err = s.reading(func(k *conn) error {
		return k.get(`SELECT ms FROM keeps WHERE conversation = ?`, []any{cmp.Or(room, peer.String())}, &ms)
	})
	if none(err) {
		return KeepDefault, nil
	}
	return time.Duration(ms) * time.Millisecond, err
}

// Prune deletes the messages that were kept for longer than SetKeep said of their conversations, or where
// it didn't than byDefault; 0: for ever. It goes by the time that was seen to pass since they were kept here
// ([Elapsed]), and lets what waits to be sent be. It works in portions until ctx ends, and returns
// how many messages it has deleted.
func (s *Store) Prune(ctx context.Context, byDefault time.Duration) (count int64, err error) {
	var passed, began int64
	type kept struct {
		conversation string
		ms           int64
	}
	var own []kept
	err = s.reading(func(k *conn) (err error) {
		if passed, _, err = s.look(k); err != nil {
			return err
		}
		if err := k.get(`SELECT began FROM elapsed`, nil, &began); err != nil {
			return err
		}
		own = nil
		return k.each(`SELECT conversation, ms FROM keeps`, nil, func(scan func(...any) error) error {
			var c kept
			err := scan(&c.conversation, &c.ms)
			own = append(own, c)
			return err
		})
	})
	if err != nil {
		return 0, s.explain(err)
	}
	prune := func(where string, args []any, ms int64) error {
		if ms <= 0 {
			return nil
		}
		for _, age := range keptBefore(passed-ms, began) {
			n, err := s.eraseAll(ctx, deletable+shown+" AND "+age.where+" AND "+where, append(age.args, args...))
			if count += n; err != nil {
				return err
			}
		}
		return nil
	}
	others, othersArgs := []string{"1"}, []any(nil)
	for _, c := range own {
		where, args := inConversation(c.conversation)
		if err := prune(where, args, c.ms); err != nil {
			return count, err
		}
		others, othersArgs = append(others, "NOT ("+where+")"), append(othersArgs, args...)
	}
	if err := prune(strings.Join(others, " AND "), othersArgs, byDefault.Milliseconds()); err != nil || count == 0 {
		return count, err
	}
	err = s.writing(s.eraseRemembered)
	if err == nil {
		err = s.scrub(ctx, nil)
	}
	if errors.Is(err, ErrResidue) { // of which the next process, or pruning, gets rid
		err = nil
	}
	return count, err
}

// shown picks the messages that have a text: see Filter.where.
const shown = `(m.room = '' OR m.out = 0 OR m.peer = -1)`

type condition struct {
	where string
	args  []any
}

// keptBefore picks the messages with keptAt before a moment, in two conditions, so that indexes serve.
func keptBefore(limit, began int64) []condition {
	all := []condition{{`m.passed BETWEEN 1 AND ?`, []any{limit - 1}}}
	if limit > began {
		return append(all, condition{`m.passed = 0`, nil})
	}
	return append(all, condition{`m.passed = 0 AND ` + at + ` < ?`, []any{limit}})
}

// inConversation picks the messages of one: see keeps.
func inConversation(conversation string) (where string, args []any) {
	key, err := chat.ParseKey(conversation)
	if strings.HasPrefix(conversation, "#") || err != nil {
		return `(m.room <> '' AND (m.room = ? OR m.room GLOB ?))`, []any{conversation, conversation + chat.RoomMark + "*"}
	}
	return `(m.room = '' AND m.peer = coalesce((SELECT n FROM people WHERE key = ?), -2))`, []any{key[:]}
}
