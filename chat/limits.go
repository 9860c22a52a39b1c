package chat

import (
	"time"

	"earshot/chat/session"
)

// DefaultPort is the UDP port of a node where nothing else is said (SPEC §3).
const DefaultPort = 41027

// MaxText is the most that one message can hold, in bytes.
const MaxText = session.MaxText

// renameEvery is how often another name of a person is taken (SPEC §8.3).
const renameEvery = 10 * time.Second

// How often what was declined as said in a room that the person isn't in is sent again, when they tell that
// they are (SPEC §7.16).
const (
	returnsAtOnce = 16
	returnEvery   = 10 * time.Second
)

// How many bytes are kept of what peers that don't understand declined say in rooms that this node isn't in, at
// once and in asideEvery (SPEC §13.5).
const (
	asideOfOne = 1 << 20
	asideOfAll = 16 << 20
	asideEvery = 24 * time.Hour
	asideAgain = time.Minute // when to look whether more may be kept
)

// MaxName is the longest name a node can call itself by, in bytes.
const MaxName = 63

// UnreachableAfter is how long a peer may leave us without any authentic answer
// before it counts as unreachable.
const UnreachableAfter = 5 * time.Second

// Timing (SPEC §5, §9).
const (
	redialAfter   = time.Second             // of silence, when an answer is due
	pingAfter     = 4500 * time.Millisecond // of silence, in a conversation that is watched
	rekeyAfter    = time.Hour               // of a session's life
	renewAgain    = time.Minute             // when the renewal has not come about
	typingEvery   = 3 * time.Second         // at most, to one person, since the last message
	typingHeed    = time.Second             // between two that are heeded, with no message between
	renameStep    = 2 * time.Millisecond    // between the sessions that tell a new name
	expireAfter   = 15 * time.Minute        // of silence
	retireFor     = 5 * time.Second         // a replaced session still takes in stragglers
	tieWithin     = 3 * time.Second         // two sessions made within this were opened by both sides at once
	helloFirst    = 50 * time.Millisecond
	helloMax      = 2 * time.Second
	mismatchGrace = 400 * time.Millisecond // from somebody else's answer until those who wait are told
	toldFrom      = 2                      // hellos that get no answer before told addresses are tried
	knockAfter    = 300 * time.Millisecond // without an answer to a handshake
	knockAgain    = time.Second            // after the first time, then twice as long each time
	knockMax      = 32 * time.Second
	finalTries    = 6               // of the last handshake message again: as long as halfLife
	storeAgain    = time.Second     // after the store would not take a message
	halfLife      = 5 * time.Second // of a handshake that we answered
	cookieEpoch   = time.Minute
	meetEvery     = 10 * time.Millisecond // between two sessions opened for the sake of rooms (SPEC §13.4)
	byeFor        = time.Second           // how long Close waits for goodbyes to be answered
	unknownEvery  = 10 * time.Millisecond // between two notices of unknown sessions to one address
	shunFor       = 10 * time.Minute      // the address of somebody refused
)

// Caps (SPEC §10).
const (
	maxLinks           = 16384 // sessions
	maxLinksPerSource  = 1024
	maxLinksPerPerson  = 8
	uncheckedFactor    = 3       // bytes to an unchecked address for each that came from it
	maxHalves          = 512     // handshakes answered and not finished
	maxHalvesPerSource = 16      // of them, with a cookie
	sourceBits         = 64      // of an IPv6 address, that count as one source
	maxHeld            = 8 << 20 // bytes of messages in the making, of all sessions
	cookiesFrom        = 32      // halves, and hellos without a cookie in a second, from which openers must prove their address
	cookiesFromSource  = 4       // halves of one source without a cookie, likewise
	maxDialAddrs       = 8       // addresses tried at once for one person
	toldTrials         = 3       // hellos to each address that an introduction tells
	trialsAtOnce       = 16      // such hellos, of all people
	trialsPerSecond    = 2
	maxBacklog         = 4096 // messages waiting for one person
	maxNotices         = 50   // of unknown sessions, in unknownEvery
	maxShuns           = 1024 // addresses of people refused
	maxSeen            = 1024 // message ids remembered of one person; above session.Window
	maxRemembered      = 8192 // people whose message ids are remembered without a store
	maxWaitingMessages = 1024
	maxWaitingTexts    = 8 << 20 // bytes of them; a few more may come with the last
	maxWaitingOfOne    = session.Window
	fetchEvents        = 32 // taken from the queue at once
	maxWaitingEvents   = 4096
	meetUrgent         = 16  // sessions opened at once to say something
	maxFanouts         = 256 // messages said in rooms whose delivery is followed
	maxListedRooms     = 1024
)
