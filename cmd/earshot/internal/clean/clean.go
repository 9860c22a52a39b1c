// Package clean makes text from others harmless before it reaches a terminal, a
// file or a pipe. Every remote string passes through it, wherever it shows: names,
// message texts, errors that quote either.
//
// Nothing that it returns holds a control character, an escape sequence, a
// direction override or isolate, an invisible format character, a line or
// paragraph separator, or invalid UTF-8. Joiners and variation selectors stay where
// they shape what is seen: inside emoji, and between letters of the scripts that
// need them.
package clean

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	zwnj = '\u200c'
	zwj  = '\u200d'

	tabWidth = 8
	// maxMarks bounds the combining marks on one letter, so that a stack of them
	// can't paint over the lines above and below.
	maxMarks = 8
)

// joining holds the scripts in which a joiner between two letters changes how they
// are written.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Bengali, unicode.Devanagari, unicode.Gujarati, unicode.Gurmukhi, unicode.Kannada,
	unicode.Khmer, unicode.Malayalam, unicode.Oriya, unicode.Sinhala, unicode.Tamil, unicode.Telugu,
}

// Mark stands behind the names of those whose safety words were compared. No name
// holds it.
const Mark = "\u2714"

// unlike replaces what the program itself puts around names.
var unlike = strings.NewReplacer(":", "\ua789", Mark, "\u2713")

// Name makes what somebody calls themselves fit for one line, in Unicode's composed
// form (NFC). Runs of blanks become one space, and a colon a letter that looks like
// one, so that a name can't pass for `name: text`. A name of which nothing is left
// becomes "no-name".
func Name(s string) string {
	s = clean(s, false)
	s = strings.Join(strings.Fields(s), " ")
	s = unlike.Replace(s)
	s = strings.TrimLeftFunc(s, func(r rune) bool { return r == ' ' || unicode.In(r, unicode.Mn, unicode.Me) }) // or these stand on what precedes
	if s == "" {
		return noName
	}
	return norm.NFC.String(s)
}

const noName = "no-name"

// Nameless reports whether nothing can be seen of a name.
func Nameless(name string) bool { return Name(name) == noName }

// Fold returns the form under which two names count as the same: cleaned, without
// regard to case.
func Fold(name string) string { return strings.ToLower(Name(name)) }

// Line makes s fit for one line.
func Line(s string) string { return clean(s, false) }

// Text makes s harmless and keeps its lines: \n stays, \r\n and the Unicode
// separators become \n, \t is expanded. Blank lines at its end are dropped.
func Text(s string) string { return strings.TrimRight(clean(s, true), "\n ") }

// Safe reports whether s is valid UTF-8 without a single character that this package
// would replace or drop in a one-line string.
func Safe(s string) bool { return utf8.ValidString(s) && clean(s, false) == s }

func clean(s string, lines bool) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	var (
		prev  rune // the last rune kept
		col   int  // runes since the last line break
		marks int  // combining marks since the last letter
	)
	put := func(r rune) {
		b.WriteRune(r)
		prev = r
		col++
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if unicode.In(r, unicode.Mn, unicode.Me) && !invisible(r) {
			if marks++; marks <= maxMarks {
				put(r)
			}
			continue
		}
		marks = 0
		switch {
		case lines && (r == '\n' || r == '\u2028' || r == '\u2029'):
			put('\n')
			col = 0
		case lines && r == '\r' && strings.HasPrefix(s[i:], "\n"):
		case lines && r == '\t':
			put(' ')
			for col%tabWidth != 0 {
				put(' ')
			}
		case r < 0x20:
			put('\u2400' + r) // its picture: ESC shows as ␛
		case r == 0x7f:
			put('\u2421')
		case r < 0x7f:
			put(r)
		case r == '\u2028' || r == '\u2029' || r == '\u2800':
			put(' ')
		case r == zwj || r == zwnj || unicode.Is(unicode.Variation_Selector, r):
			next, _ := utf8.DecodeRuneInString(s[i:])
			if shapes(prev, r, next) {
				put(r)
			}
		case unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Noncharacter_Code_Point, r):
			put(utf8.RuneError)
		case invisible(r):
		default:
			put(r)
		}
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// invisible reports the characters that draw nothing: Unicode's
// Default_Ignorable_Code_Point, and all format characters.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// shapes reports whether the joiner or variation selector r changes the look of its
// neighbours rather than hide between them.
func shapes(prev, r, next rune) bool {
	switch r {
	case '\ufe0e', '\ufe0f': // text or emoji style of a symbol, or of what stands on a keycap
		return unicode.In(prev, unicode.So, unicode.Sm) || strings.ContainsRune("‼⁉〰ℹ", prev) ||
			next == '\u20e3' && strings.ContainsRune("#*0123456789", prev)
	case zwj, zwnj:
		switch {
		case invisible(next): // will be gone
		case r == zwj && emoji(prev) && emoji(next):
			return true
		default:
			return unicode.In(prev, joining...) && unicode.In(next, joining...)
		}
	}
	return false
}

// emoji: symbols, skin tones, and the style selector that may precede a joiner.
func emoji(r rune) bool {
	return r == '\ufe0f' || unicode.Is(unicode.So, r) || 0x1f3fb <= r && r <= 0x1f3ff
}
