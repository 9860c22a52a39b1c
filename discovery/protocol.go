package discovery

import (
	"net/netip"
	"time"
)

// Constants of the protocol: another implementation has to have the same.

// Service is the DNS-SD service type under local. (SPEC §2).
const Service = "_earshot._udp"

const (
	domain      = "local."
	serviceName = Service + "." + domain
	enumName    = "_services._dns-sd._udp." + domain // RFC 6763 §9
)

const (
	mdnsPort   = 5353
	headerSize = 12   // bytes
	maxPacket  = 9000 // bytes of UDP payload, RFC 6762 §17
	maxLabel   = 63   // bytes, RFC 6763 §4.1.1
	idLength   = 52   // characters of an identity key in base32
)

var groups = [2]netip.AddrPort{
	v4: netip.MustParseAddrPort("224.0.0.251:5353"),
	v6: netip.MustParseAddrPort("[ff02::fb]:5353"),
}

// topBit is cache-flush in a record's class and QU in a question's
// (RFC 6762 §10.2, §5.4).
const topBit = 1 << 15

// recordTTL is how long others may keep our records, by the number of people
// on the link (SPEC §5): short enough that somebody killed is gone within half a
// minute on a usual network, longer where the refreshing would load the link.
func recordTTL(people int) time.Duration {
	return max(28*time.Second, time.Duration(people)*200*time.Millisecond)
}

const (
	legacyTTL = 10 * time.Second // RFC 6762 §6.7
	// 6762 §8.3: announce twice, a second apart.
	announceCount    = 2
	announceInterval = time.Second
	// RFC 6762 §5.2: a second between the first two questions, then twice as
	// long each time. After these, only what is about to expire is asked for.
	askCount    = 4
	askInterval = time.Second
	// RFC 6762 §6: no record multicast twice within this.
	repeatInterval = time.Second
	// RFC 6762 §10.1, §10.2: grace of a goodbye and a cache flush; longer if it
	// may be forged: time for two questions and an answer (SPEC §7).
	goodbyeGrace  = time.Second
	disputedGrace = 2 * time.Second
	// RFC 6762 §10.4, §10.5: gone is who hasn't answered this long after two
	// questions.
	failureTime = 10 * time.Second
	failureAsks = 2
)

// Random delays.
const (
	sharedDelayMin = 20 * time.Millisecond // RFC 6762 §6
	sharedDelayMax = 120 * time.Millisecond
	tcDelayMin     = 400 * time.Millisecond // RFC 6762 §7.2
	tcDelayMax     = 500 * time.Millisecond
	// In a crowd answers are spread over longer, lest they overrun the buffers of
	// whoever asked (SPEC §5): this for each person, if it is more.
	delayPerPerson = 2 * time.Millisecond
)

// unicastCrowd is how many people at most answer QU questions by unicast; of
// more, it would be too many packets at once for the asker.
const unicastCrowd = 100

// RFC 6762 §5.2: refresh at 80, 85, 90 and 95 % of the TTL, each with up to
// 2 % added.
const (
	refreshFirst  = 80
	refreshStep   = 5
	refreshTries  = 4
	refreshJitter = 2
)

// reconfirmPercents of failureTime is when somebody who seems gone is asked for:
// at once, after 1, 3 and 6 s.
var reconfirmPercents = [refreshTries]float64{0, 10, 30, 60}

// Constants of this implementation (SPEC §6).
const (
	maxTTL            = 75 * time.Minute // longer ones are cut: RFC 6762 §10 names no longer one
	maxInstances      = 8192             // per link; further ones are refused, none is evicted
	maxAddrs          = 8                // per instance and link
	maxPerSource      = 1024             // instances first heard from one address, per link
	maxPerHost        = 8                // instances that share a host name on a link
	maxPeerAddrs      = 16               // of a roster row
	maxUnicastAsks    = 256              // questions with QU waiting for the server of a link
	unicastAskLife    = 100 * time.Millisecond
	maxOwnAddrs       = 8               // announced on a link
	maxName           = 63              // bytes of a human name
	maxDefendInterval = 8 * time.Second // between announcements that answer others' claims to our records
	maxQuestions      = 32              // in one packet, besides the PTR question
	maxCrowdPerSource = 8               // people first heard from one address who count in a crowd, per link
	askManyKnown      = 100             // in the crowd of a link: then the questions on joining, long by then, are asked once only
	askGrowth         = 10              // and as long as so many are found between two of them, not yet
	confirmedLife     = time.Minute     // after Confirm
	copyDelay         = 3 * time.Second // by then every process has noticed the machine's addresses
	maxResolves       = 4               // times the missing records of an instance are asked for
	maxKnownPayload   = 1200            // bytes of a question with known answers, before it is split
	doubtGrace        = 5 * time.Second // for what was heard before a link changed
	resolveInterval   = time.Second     // between them, tripled each time
	questionInterval  = time.Second     // between packets of such questions on a link
)
