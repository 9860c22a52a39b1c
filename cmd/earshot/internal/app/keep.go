package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"earshot/chat/store"
)

// KeepTime is for how long messages are kept; 0: for ever.
type KeepTime struct{ time.Duration }

// keepUnits are those of a KeepTime, the largest first.
var keepUnits = []struct {
	letter, name string
	size         time.Duration
}{{"y", "year", 365 * 24 * time.Hour}, {"w", "week", 7 * 24 * time.Hour}, {"d", "day", 24 * time.Hour}, {"h", "hour", time.Hour}}

// maxKeep is the longest KeepTime that isn't for ever, in years.
const maxKeep = 100

var errKeep = errors.New("a time to keep messages is written like \"12h\", \"90d\", \"6w\", \"1y\" or \"forever\"")

// ParseKeepTime reads hours, days, weeks or years, or forever.
func ParseKeepTime(s string) (KeepTime, error) {
	if s == "forever" {
		return KeepTime{}, nil
	}
	for _, unit := range keepUnits {
		number, is := strings.CutSuffix(s, unit.letter)
		n, err := strconv.ParseUint(number, 10, 32)
		if is && err == nil && n > 0 && n <= uint64(maxKeep*keepUnits[0].size/unit.size) {
			return KeepTime{time.Duration(n) * unit.size}, nil
		}
	}
	return KeepTime{}, errKeep
}

// UnmarshalText reads it as ParseKeepTime does.
func (k *KeepTime) UnmarshalText(text []byte) (err error) {
	*k, err = ParseKeepTime(string(text))
	return err
}

// String says it in the largest unit that fits.
func (k KeepTime) String() string {
	for _, unit := range keepUnits {
		n := k.Duration / unit.size
		switch {
		case n == 0 || k.Duration%unit.size != 0:
		case n == 1:
			return "1 " + unit.name
		default:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return "ever"
}

const (
	pruneFirst = time.Minute // after the start, which has more urgent things to do
	pruneEvery = time.Hour
)

// prune deletes the messages that were kept for long enough, until done is closed.
func prune(s *store.Store, keep KeepTime, done <-chan struct{}, log func(msg string, args ...any)) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	timer := time.NewTimer(pruneFirst)
	defer timer.Stop()
	var trouble string
	for {
		select {
		case <-done:
			return
		case <-timer.C:
		}
		if _, err := s.Prune(ctx, keep.Duration); err != nil && ctx.Err() == nil && err.Error() != trouble {
			trouble = err.Error()
			log("old messages can't be deleted", "err", trouble)
		}
		timer.Reset(pruneEvery)
	}
}

// doKeep says for how long messages of the conversation are kept, or sets it.
func (s *Session) doKeep(c Conv, args string, _ time.Time) {
	switch {
	case s.store == nil:
		s.refuse("nothing is kept of this session; start earshot without --no-history")
		return
	case c.IsZero():
		s.refuse("go to a person or a room first: /to; for all conversations: keep in " + SettingsFile)
		return
	case args == "":
		s.tellKeep(c, "")
		return
	}
	d := store.KeepDefault
	if args != "default" {
		keep, err := ParseKeepTime(args)
		if err != nil {
			s.refuse(err.Error())
			return
		}
		d = keep.Duration
	}
	s.job(func(context.Context) func(time.Time) {
		err := s.store.SetKeep(c.Key, c.Room, d)
		return func(time.Time) {
			if err != nil {
				s.refuse(s.explain(err))
				return
			}
			s.tellKeep(c, " from now on")
		}
	})
}

// tellKeep says for how long messages of a conversation are kept.
func (s *Session) tellKeep(c Conv, since string) {
	d, err := s.store.Keep(c.Key, c.Room)
	if err != nil {
		s.refuse(s.explain(err))
		return
	}
	keep, by := KeepTime{d}, ""
	if d == store.KeepDefault {
		keep, by = s.settings.Keep, ", as all are"
	}
	text := fmt.Sprintf("messages here are kept for %v%s%s", keep, since, by)
	if keep.Duration > 0 {
		text += "; older ones are deleted within the hour"
	}
	s.Tell(text)
}
