package app

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"earshot/chat"
	"earshot/cmd/earshot/internal/clean"
)

// TextError says why something can't be a message.
type TextError struct {
	Text   string // behind "the message "
	Remedy string
}

func (e *TextError) Error() string { return "the message " + e.Text }

// ErrEmpty is the error of a message in which there is nothing to see.
var ErrEmpty = &TextError{Text: "is empty"}

// ErrUTF16 is the error of text in the encoding that PowerShell redirects in.
var ErrUTF16 = &TextError{
	Text:   "is UTF-16 text, not UTF-8",
	Remedy: "convert it first, as with: iconv -f utf-16 -t utf-8; in PowerShell: Get-Content FILE | Set-Content -Encoding utf8 OTHER",
}

const (
	byteOrderMark = "\ufeff"

	// MostRaw is how many bytes a message may take before [Text] makes it shorter.
	MostRaw = len(byteOrderMark) + 2*chat.MaxText
)

// lineEnds makes every end of a line the one of Unix. A carriage return alone ended
// lines once, and stands in the output of what draws its progress over itself.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// UTF16 reports whether raw begins as UTF-16 text does.
func UTF16(raw string) bool {
	return strings.HasPrefix(raw, "\xff\xfe") || strings.HasPrefix(raw, "\xfe\xff")
}

// Text makes a message of what was typed, pasted or read, wherever that was: lines end in
// \n, and there is no byte order mark. Errors are [*TextError].
func Text(raw string) (string, error) {
	if UTF16(raw) {
		return "", ErrUTF16
	}
	text := Lines(raw)
	switch {
	case len(text) > chat.MaxText:
		return "", &TextError{fmt.Sprintf("is longer than %d bytes", chat.MaxText), "send it in parts"}
	case strings.ContainsRune(text, 0):
		return "", &TextError{"has a NUL byte, and isn't text", "pack what isn't text first, as with: base64"}
	case !utf8.ValidString(text):
		return "", &TextError{"isn't UTF-8 text", "convert it first, as with: iconv -f latin1 -t utf-8"}
	case blank(text):
		return "", ErrEmpty
	}
	return text, nil
}

// Lines has what was typed, pasted or read without a byte order mark, its lines ended by \n.
func Lines(raw string) string { return lineEnds.Replace(strings.TrimPrefix(raw, byteOrderMark)) }

// blank reports whether there is nothing to see in a text.
func blank(text string) bool { return strings.TrimSpace(clean.Text(text)) == "" }
