package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

// A process that has its lock may be stopped all the same, for hours. So each writes a number
// every second, and what it holds may be taken over when the number stays as it is. What counts is
// the time in which the other was seen to be silent: no clock is compared with another's, and the
// time in which the observer was stopped itself doesn't count.
const (
	beatEvery  = time.Second
	stallAfter = 4 * time.Second
	lookCounts = 3 * beatEvery / 2 // how much silence one look can show

	// lapseAfter is after how long without a beat a process takes it that others have taken over:
	// less than stallAfter by more than the silence that precedes the first look.
	lapseAfter = 5 * beatEvery / 2
)

// beatAt is where a heartbeat stands in its file: systems whose locks keep others from reading
// lock the first byte.
const beatAt = 8

// heart is the heartbeat of this process: a lock, which an earlier version lacks, and a number.
type heart struct {
	lock  *flock.Flock
	file  *os.File
	count uint64
}

func beatPath(dir string, n int64) string {
	return filepath.Join(dir, strconv.FormatInt(n, 10)+".beat")
}

// newHeart takes the heartbeat of a slot that this process has; nil: it goes without one, as an
// earlier version does.
func newHeart(dir string, n int64) *heart {
	path := beatPath(dir, n)
	h := &heart{lock: flock.New(path, flock.SetPermissions(0o600)), count: rand.Uint64() >> 1}
	limit := time.Now().Add(beatEvery)
	for {
		got, err := h.lock.TryLock() // others lock it to look, for a moment
		if got {
			break
		}
		if err != nil || time.Now().After(limit) {
			_ = h.lock.Close()
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	var err error
	if h.file, err = os.OpenFile(path, os.O_RDWR, 0o600); err == nil {
		err = h.beat()
	}
	if err != nil {
		h.stop()
		return nil
	}
	return h
}

func (h *heart) beat() error {
	h.count++
	b := binary.BigEndian.AppendUint64(nil, h.count)
	_, err := h.file.WriteAt(binary.BigEndian.AppendUint64(b, uint64(os.Getpid())), beatAt)
	return err
}

func (h *heart) stop() {
	if h == nil {
		return
	}
	if h.file != nil {
		h.file.Close()
	}
	_ = h.lock.Close()
}

// readBeat returns the heartbeat of the process that has a slot; false: it has none.
func readBeat(dir string, n int64) (count uint64, pid int, ok bool) {
	path := beatPath(dir, n)
	lock := flock.New(path, flock.SetPermissions(0o600), flock.SetFlag(os.O_RDWR)) // it isn't made anew
	got, err := lock.TryLock()
	_ = lock.Close()
	if got || err != nil {
		return 0, 0, false
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, false
	}
	defer f.Close()
	var b [16]byte
	if _, err := f.ReadAt(b[:], beatAt); err != nil {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b[:]), int(binary.BigEndian.Uint64(b[8:])), true
}

// pulse is what was seen of another process's heartbeat.
type pulse struct {
	count uint64
	pid   int
	at    time.Time     // of the last look
	quiet time.Duration // for how long count was seen to stay
}

// pulses is what was seen of all.
type pulses struct {
	mu     sync.Mutex
	bySlot map[int64]*pulse
	after  time.Duration // stallAfter, but in tests
}

// look reads the heartbeat of the process that has a slot, and reports whether it was silent for
// stallAfter. One that never beats lives for as long as it has its lock.
func (p *pulses) look(dir string, n int64) (seen pulse, stalled bool) {
	count, pid, ok := readBeat(dir, n)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !ok {
		delete(p.bySlot, n)
		return pulse{}, false
	}
	was := p.bySlot[n]
	if was == nil || was.count != count {
		if p.bySlot == nil {
			p.bySlot = map[int64]*pulse{}
		}
		p.bySlot[n] = &pulse{count, pid, now, 0}
		return *p.bySlot[n], false
	}
	was.quiet += min(now.Sub(was.at), lookCounts)
	was.at = now
	return *was, was.quiet >= p.after
}

// stopped returns the ids of other processes that seem to stand still, which it finds out by
// waiting for them to beat.
func (s *Store) stopped() (pids []int) {
	dir := s.running()
	before := map[int64]uint64{}
	for _, path := range locksHeld(dir) {
		n, _ := strconv.ParseInt(trimLock(path), 10, 64)
		if count, _, ok := readBeat(dir, n); ok && (s.slot == nil || n != s.slot.number) {
			before[n] = count
		}
	}
	if len(before) == 0 {
		return nil
	}
	time.Sleep(lookCounts)
	for n, was := range before {
		if count, pid, ok := readBeat(dir, n); ok && count == was {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// beats writes the heartbeat until the store is closed.
func (s *Store) beats(h *heart) {
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case now := <-tick.C:
			tick.Reset(now.Truncate(beatEvery).Add(beatEvery).Sub(now)) // with what else is done every second
		}
		s.noticeLapse()
		_ = h.beat()
		s.life.beat.Store(int64(time.Since(s.life.from)))
	}
}

// life is when this process was last seen to run.
type life struct {
	from   time.Time
	beat   atomic.Int64 // since from
	lapsed atomic.Bool  // it stood still since, and that wasn't asked for yet
}

// noticeLapse notes that this process has stood still.
func (s *Store) noticeLapse() {
	if time.Since(s.life.from)-time.Duration(s.life.beat.Load()) >= lapseAfter {
		s.life.lapsed.Store(true)
	}
}

// Lapsed implements [chat.Store].
func (s *Store) Lapsed() bool {
	if s.slot.heart == nil {
		return false // nobody takes over from it
	}
	if s.noticeLapse(); !s.life.lapsed.Load() {
		return false
	}
	s.life.beat.Store(int64(time.Since(s.life.from)))
	return s.life.lapsed.Swap(false)
}

// supersede takes over from a process that stands still: what it has written goes into the
// database, and what it was sending is for any to send. When it goes on it notices (see Lapsed).
func (s *Store) supersede(n int64, seen pulse) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	var owns bool
	if err := s.write.get(`SELECT EXISTS (SELECT 1 FROM messages WHERE status = 0 AND owner = ?)`, []any{n}, &owns); err != nil {
		return err
	}
	if left, err := s.uncarried(n, s.readJournal(n)); err != nil || !owns && len(left) == 0 {
		return err
	}
	return s.write.transact(func() error {
		if count, _, ok := readBeat(s.running(), n); !ok || count != seen.count {
			return nil // it goes on
		}
		err := s.carry(n)
		if err == nil {
			_, err = s.write.exec(`UPDATE messages SET owner = 0 WHERE status = 0 AND owner = ?`, n)
		}
		return err
	})
}

// waited explains an error like explain, and where it is that another process kept the database
// busy, finds out which of them stand still. That takes longer than a heartbeat.
func (s *Store) waited(err error) error {
	explained := s.explain(err)
	e, ok := errors.AsType[*Error](explained)
	if !ok || !busy(err) {
		return explained
	}
	var pids []string
	for _, pid := range s.stopped() {
		pids = append(pids, strconv.Itoa(pid))
	}
	if len(pids) > 0 {
		e.Err = fmt.Errorf("an earshot that is stopped keeps the database busy (%w)", err)
		e.Remedy = "continue or end it: process " + strings.Join(pids, ", ")
	}
	return e
}
